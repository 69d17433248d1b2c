//! The domain of Services' names, as the cluster's DNS answers each pod.

use std::fs;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const USUAL: &str = "cluster.local";

/// The domain of the cluster that this process runs in.
pub fn of_this_pod() -> String {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    search_domain(&text).unwrap_or(USUAL).to_owned()
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
    use super::search_domain;

    #[test]
    fn the_domain_stands_behind_svc() {
        let pod = "search shop.svc.example.internal svc.example.internal example.internal\nnameserver 10.0.0.10\n";
        assert_eq!(search_domain(pod), Some("example.internal"));
        assert_eq!(search_domain("search lan\nnameserver 1.1.1.1"), None);
        assert_eq!(search_domain(""), None);
    }
}
