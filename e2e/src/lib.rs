//! The tools of the stories in `tests/`: a namespace on a real cluster, waits for its events, a workload in a pod, and
//! diagnostics after a failure.

mod capture;
mod clients;
mod command;
mod dashboard;
mod diagnostics;
mod over_volume;
mod pod_limit;
mod prober;
mod prometheus;
mod stage;
mod workload;

pub use capture::{Capture, Captured};
pub use clients::{Clients, Met, Second, Sum, Summary};
pub use command::command;
pub use dashboard::{Dashboard, Panel, PanelQuery};
pub use over_volume::over_volume;
pub use pod_limit::PodLimit;
pub use prober::{Place, Prober, Round, Target};
pub use prometheus::{Prometheus, Range, Series};
pub use stage::{Stage, condition, osc};
pub use workload::{IMAGE, RunningScript, Workload};
