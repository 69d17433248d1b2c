//! A dashboard as one SVG.

use std::{fs, path::Path};

use anyhow::anyhow;
use opensecureconf_e2e::Range;
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement,
        RGBColor, Rectangle, SVGBackend, Text, TextStyle, WHITE,
    },
};

use crate::{
    Line, Picture,
    axis::{self, Axis},
};

/// Panels side by side, and the size of each in pixels.
const COLUMNS: usize = 2;
const PANEL: (u32, u32) = (460, 270);
/// Room above the panels for the title.
const TITLE: u32 = 44;
/// Lines of the legend at most; the others are only counted.
const LEGEND_LINES: usize = 3;
const LEGEND_LINE: i32 = 15;
/// Width of a letter of the legend, on average.
const LETTER: f64 = 6.0;

const FONT: &str = "Helvetica, Arial, sans-serif";
const PAPER: RGBColor = RGBColor(247, 248, 250);
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT: RGBColor = RGBColor(228, 231, 235);
/// Colours that people with any kind of colour vision can distinguish (Okabe and Ito), and two more.
const LINES: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(130, 90, 44),
    RGBColor(150, 150, 150),
    RGBColor(110, 64, 170),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the panels, two in a row, and writes the file.
pub(crate) fn draw(
    path: &Path,
    title: &str,
    panels: &[Picture],
    range: Range,
) -> anyhow::Result<()> {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (
        PANEL.0 * u32::try_from(COLUMNS)?,
        PANEL.1 * u32::try_from(rows)? + TITLE,
    );
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        page.fill(&PAPER).map_err(failed)?;
        let (head, body) = page.split_vertically(TITLE);
        head.draw(&Text::new(title.to_owned(), (14, 12), font(22, INK)))
            .map_err(failed)?;
        for (area, picture) in body.split_evenly((rows, COLUMNS)).iter().zip(panels) {
            draw_panel(&area.margin(4, 4, 6, 6), picture, range)?;
        }
        page.present().map_err(failed)?;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, smaller(&svg))?)
}

fn draw_panel(area: &Area<'_>, picture: &Picture, range: Range) -> anyhow::Result<()> {
    let Picture { panel, lines } = picture;
    area.fill(&WHITE).map_err(failed)?;
    let (width, height) = area.dim_in_pixel();
    let (width, height) = (i32::try_from(width)?, i32::try_from(height)?);
    area.draw(&Rectangle::new(
        [(0, 0), (width - 1, height - 1)],
        FAINT.stroke_width(1),
    ))
    .map_err(failed)?;
    area.draw(&Text::new(panel.title.clone(), (10, 8), font(14, INK)))
        .map_err(failed)?;

    let legend = legend(lines, width - 20);
    let legend_height = i32::try_from(legend.len())? * LEGEND_LINE + 6;
    let plot = area.margin(28, legend_height, 4, 12);
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = points().fold(0.0_f64, |highest, (_, value)| highest.max(*value));
    let top = panel.max().unwrap_or(highest).max(highest) * 1.08;
    let top = if top > 0.0 { top } else { 1.0 };
    if points().next().is_none() {
        plot.draw(&Text::new(
            "nothing to show",
            (width / 2 - 40, 60),
            font(12, INK),
        ))
        .map_err(failed)?;
        return Ok(());
    }
    let length = range.end - range.start;
    let mut chart = ChartBuilder::on(&plot)
        .x_label_area_size(22)
        .y_label_area_size(62)
        .build_cartesian_2d(Axis::new(length, "s"), Axis::new(top, panel.unit()))
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_label_formatter(&|seconds| axis::text(*seconds, "s"))
        .y_label_formatter(&|value| axis::text(*value, panel.unit()))
        .label_style(font(12, INK))
        .draw()
        .map_err(failed)?;
    for (line, colour) in lines.iter().zip(LINES.iter().cycle()) {
        for part in without_gaps(&line.points) {
            let part = without_plains(part);
            let part = part
                .iter()
                .map(|(time, value)| (time - range.start, *value));
            chart
                .draw_series(LineSeries::new(part, colour.stroke_width(2)))
                .map_err(failed)?;
        }
    }
    for (number, entries) in legend.iter().enumerate() {
        let top = height - legend_height + i32::try_from(number)? * LEGEND_LINE;
        for Entry { left, text, colour } in entries {
            let left = left + 12;
            if let Some(colour) = colour {
                let mark = [(left, top + 6), (left + 12, top + 6)];
                area.draw(&PathElement::new(mark, colour.stroke_width(3)))
                    .map_err(failed)?;
            }
            area.draw(&Text::new(text.clone(), (left + 16, top), font(12, INK)))
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// A word of the legend.
struct Entry {
    /// Pixels from the left.
    left: i32,
    text: String,
    /// Of its line.
    colour: Option<RGBColor>,
}

/// The legend, line by line.
fn legend(lines: &[Line], width: i32) -> Vec<Vec<Entry>> {
    let mut full = Vec::new();
    let (mut row, mut left) = (Vec::new(), 0);
    for (number, (line, colour)) in lines.iter().zip(LINES.iter().cycle()).enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "a name is short")]
        let own =
            (f64::from(u16::try_from(line.name.len()).unwrap_or(u16::MAX)) * LETTER) as i32 + 30;
        if left + own > width && left > 0 {
            if full.len() + 1 == LEGEND_LINES {
                let text = format!("and {} more", lines.len() - number);
                let colour = None;
                row.push(Entry { left, text, colour });
                break;
            }
            full.push(std::mem::take(&mut row));
            left = 0;
        }
        row.push(Entry {
            left,
            text: line.name.clone(),
            colour: Some(*colour),
        });
        left += own;
    }
    full.push(row);
    full
}

/// The parts of a line between which points are missing.
fn without_gaps(points: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
    let step = points
        .windows(2)
        .filter_map(|pair| Some(pair.get(1)?.0 - pair.first()?.0))
        .fold(f64::MAX, f64::min);
    points
        .chunk_by(|one, next| next.0 - one.0 < step * 1.5)
        .collect()
}

/// The same line without the points within its level parts.
fn without_plains(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let value = |index: Option<usize>| Some(points.get(index?)?.1);
    let kept = points.iter().enumerate().filter(|(index, (_, own))| {
        let own = Some(*own);
        value(index.checked_sub(1)) != own || value(index.checked_add(1)) != own
    });
    kept.map(|(_, point)| *point).collect()
}

/// The same picture: every word names its font, and everything that it is opaque.
fn smaller(svg: &str) -> String {
    let font = format!(" font-family=\"{FONT}\"");
    let svg = svg.replace(" opacity=\"1\"", "").replace(&font, "");
    svg.replacen("<svg", &format!("<svg{font}"), 1)
}

fn font(size: i32, colour: RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(&colour)
}

/// The drawing area's errors borrow it.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
