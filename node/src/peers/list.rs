//! The list of addresses: given to the engine at the start, and again whenever its file changes.

use std::time::Duration;

use crate::{
    cluster::Address,
    config::{PeerAddress, PeerList},
    os::reload,
    replica::Replica,
    tls::KnownHosts,
};

/// How often the addresses of members are read.
const HOSTS_EVERY: Duration = Duration::from_secs(1);

/// Informs the engine where nodes may be, as long as the store lives.
pub(super) async fn keep_told(store: Replica, list: PeerList, hosts: KnownHosts) {
    hosts.list(list.now.iter().map(|address| address.host.as_str()));
    if store.listed(addresses(&list.now)).await.is_err() {
        return;
    }
    let Some(file) = list.file else {
        return;
    };
    let (changed, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watch = reload::on_change(vec![file.clone()], || {
        // The receiver lives as long as this future.
        let _ = changed.send(());
    });
    let follow = async {
        while changes.recv().await.is_some() {
            match PeerAddress::read_file(&file) {
                Ok(list) => {
                    tracing::info!(nodes = list.len(), "peer_list_reloaded");
                    hosts.list(list.iter().map(|address| address.host.as_str()));
                    if store.listed(addresses(&list)).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::error!(error = %error, "peer_list_not_reloaded"),
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = follow => {}
    }
}

/// Members may be at other hosts than the list names: certificates for those hosts are accepted too.
pub(super) async fn keep_hosts(store: Replica, hosts: KnownHosts) {
    let mut views = store.watch_view();
    let mut known = Vec::new();
    loop {
        let view = std::sync::Arc::clone(&views.borrow_and_update());
        let members = view.members.iter().filter(|member| member.counts);
        let held = members.filter_map(|member| member.address.as_ref());
        let held: Vec<_> = held
            .filter_map(|address| PeerAddress::parse(address.as_str()))
            .map(|address| address.host)
            .collect();
        if held != known {
            hosts.hold(held.iter().map(String::as_str));
            known = held;
        }
        drop(view);
        tokio::time::sleep(HOSTS_EVERY).await;
        if views.changed().await.is_err() {
            return;
        }
    }
}

fn addresses(list: &[PeerAddress]) -> Vec<Address> {
    list.iter()
        .map(|address| Address::new(address.to_string()))
        .collect()
}
