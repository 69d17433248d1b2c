//! Attacks on a node within the memory of a pod, with an honest client beside each. Prints one table.
//!
//!     make attack                     # whole, some minutes; every bound decides
//!     make attack ATTACKS="resets"    # those whose name holds one of these words
//!
//! Without `ATTACK_SCALE=full` each attack runs in a short form: memory, statuses and what the attacker learned decide. The
//! short form must hold on any machine, so times are only printed, and limits per minute go by the time that the attack really
//! took.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on says so by panicking, and tells people its figures"
)]

mod aborted_requests;
mod api_keys;
mod batches;
mod bodies;
mod conflicts;
mod connections;
mod disk;
#[path = "../it/free_port.rs"]
mod free_port;
mod guesses;
mod honest;
mod http;
#[path = "../it/http2_frames.rs"]
mod http2_frames;
mod http2_state;
mod https;
mod lists;
mod memory_limit;
mod messages;
mod node;
mod peers;
mod probes;
mod refusals;
mod report;
mod resets;
mod scene;
mod unread_answers;
mod values;

use futures::future::BoxFuture;
use report::{Caller, Figures, Row};
use scene::Scale;

/// One attack: its attacker, its name in the table, and the function that runs it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) caller: Caller,
    pub(crate) run: fn(Scale) -> BoxFuture<'static, Figures>,
}

fn main() {
    // Cargo and its users pass flags for the standard harness.
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    report::check_the_end();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .unwrap();
    // Thousands of connections are held; a shell's soft limit is often 1,024.
    opensecureconf_node::os::open_files::raise();
    let scale = if std::env::var("ATTACK_SCALE").is_ok_and(|scale| scale == "full") {
        Scale::Full
    } else {
        Scale::Short
    };
    eprintln!("attacked: {}", node::program().display());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let attacks = [
        unread_answers::ATTACKS,
        connections::ATTACKS,
        https::ATTACKS,
        http2_state::ATTACKS,
        resets::ATTACKS,
        refusals::ATTACKS,
        api_keys::ATTACKS,
        bodies::ATTACKS,
        values::ATTACKS,
        batches::ATTACKS,
        conflicts::ATTACKS,
        lists::ATTACKS,
        aborted_requests::ATTACKS,
        guesses::ATTACKS,
        peers::ATTACKS,
        messages::ATTACKS,
        probes::ATTACKS,
        disk::ATTACKS,
    ];
    let chosen = attacks.into_iter().flatten().filter(|attack| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|word| attack.name.contains(word.as_str()))
    });
    let mut rows = Vec::new();
    for attack in chosen {
        // An attack that panics does not stop the others.
        let run = runtime.block_on(runtime.spawn((attack.run)(scale)));
        let figures = run.unwrap_or_else(|broken| Figures {
            fault: Some(format!("it could not be made ({broken})")),
            ..Figures::default()
        });
        let row = Row::new(attack, figures, scale);
        eprintln!("{}", row.line());
        rows.push(row);
    }
    report::print(&rows);
    if rows.iter().any(Row::failed) {
        std::process::exit(1);
    }
}
