//! The list of addresses: told to the engine at the start, and again whenever its file changes.

use crate::{
    cluster::Address,
    config::{PeerAddress, PeerList},
    reload,
    store::Store,
};

/// Tells the engine where nodes may be, as long as the store lives.
pub(super) async fn keep_told(store: Store, list: PeerList) {
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

fn addresses(list: &[PeerAddress]) -> Vec<Address> {
    list.iter()
        .map(|address| Address::new(address.to_string()))
        .collect()
}
