//! The domain of Services' names, as the cluster's DNS answers each pod.

use std::fs;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const USUAL: &str = "cluster.local";

/// The domain of the cluster that this process runs in: the chosen one, else that of the pod's DNS settings.
pub fn of_this_pod(chosen: Option<String>) -> String {
    of(chosen, || {
        fs::read_to_string(RESOLV_CONF).unwrap_or_default()
    })
}

fn of(chosen: Option<String>, resolv_conf: impl FnOnce() -> String) -> String {
    chosen.unwrap_or_else(|| search_domain(&resolv_conf()).unwrap_or(USUAL).to_owned())
}

/// Behind `svc.` among the domains that are searched.
fn search_domain(resolv_conf: &str) -> Option<&str> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("search"))
        .flat_map(str::split_whitespace)
        .find_map(|domain| domain.strip_prefix("svc."))
        .map(|domain| domain.trim_end_matches('.'))
        .filter(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{of, search_domain};

    #[test]
    fn the_domain_stands_behind_svc() {
        let pod = "search shop.svc.example.internal svc.example.internal example.internal\nnameserver 10.0.0.10\n";
        assert_eq!(search_domain(pod), Some("example.internal"));
        assert_eq!(search_domain("search lan\nnameserver 1.1.1.1"), None);
        assert_eq!(search_domain(""), None);
    }
    #[test]
    fn a_chosen_domain_goes_before_that_of_the_pod_and_a_pod_without_one_has_the_usual() {
        let pod = || "search shop.svc.example.internal svc.example.internal".to_owned();
        assert_eq!(of(Some("chosen.example".to_owned()), pod), "chosen.example");
        assert_eq!(of(None, pod), "example.internal");
        assert_eq!(of(None, String::new), "cluster.local");
    }
}
