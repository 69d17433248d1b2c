//! The inputs of a target: first the files of its corpus as they are, then mutations of them.

use std::{env, fs, path::PathBuf, time::Instant};

use crate::{
    mutation::mutate,
    random::{Random, seed},
};

/// Inputs of all targets in the short form.
const SHORT: usize = 5000;

/// A target's share of a thousand inputs. Slow targets get less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share(pub(crate) usize);

pub(crate) fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut paths: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no corpus");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Inputs that a target makes itself, beside its corpus.
pub(crate) fn inputs(share: Share) -> usize {
    let all = env::var("FUZZ_INPUTS").map_or(SHORT, |all| all.parse().unwrap());
    all * share.0 / 1000
}

/// Gives every input to `check`; keeps and names the first that fails.
pub(crate) fn run(
    target: &str,
    share: Share,
    words: &[&str],
    mut check: impl FnMut(&[u8]) -> Result<(), String>,
) {
    let corpus = files(target);
    let mut random = Random::of(target);
    let (count, began) = (inputs(share), Instant::now());
    for file in &corpus {
        judge(target, file, check(file));
    }
    for _ in 0..count {
        let input = mutate(&mut random, &corpus, words);
        judge(target, &input, check(&input));
    }
    eprintln!(
        "{target}: {} of the corpus and {count} made from it, in {:.1} s",
        corpus.len(),
        began.elapsed().as_secs_f64()
    );
}

/// Keeps an input that failed.
pub(crate) fn judge(target: &str, input: &[u8], result: Result<(), String>) {
    if let Err(fault) = result {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{target}-{}", seed()));
        fs::write(&path, input).unwrap();
        panic!(
            "{target}: {fault}\nFUZZ_SEED={}, input kept at {}: {:?}",
            seed(),
            path.display(),
            String::from_utf8_lossy(&input[..input.len().min(2000)])
        );
    }
}
