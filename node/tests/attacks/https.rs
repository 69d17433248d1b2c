//! HTTPS: connections that wait before, in and behind the TLS handshake cost memory too.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use futures::FutureExt as _;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Attack,
    honest::USER_KEY,
    http::{attacker, connect, connect_narrow, head},
    report::{Caller, Figures},
    scene::{Scale, Scene, Spoils},
};

/// The attackers' addresses, as for [`crate::connections`].
const ADDRESSES: usize = 8;
const CONNECTIONS: usize = 3000;
/// The largest part of a message that a record has (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "handshakes of 64 KiB that do not end",
        caller: Caller::Network,
        run: |scale| half_hellos(scale).boxed(),
    },
    Attack {
        name: "unread assets, 3000 connections of HTTPS",
        caller: Caller::Network,
        run: |scale| unread_assets(scale).boxed(),
    },
    Attack {
        name: "records over HTTPS that do not end",
        caller: Caller::Network,
        run: |scale| half_records(scale).boxed(),
    },
];

/// A node with a port for HTTPS, and a client's side of TLS that trusts it.
async fn scene(scale: Scale) -> (Scene, SocketAddr, TlsConnector) {
    let settings = [
        ("OSC_HTTPS_PORT", "0"),
        ("OSC_SSL_CERTFILE", "client.crt"),
        ("OSC_SSL_KEYFILE", "client.key"),
    ];
    let scene = Scene::start(scale, &settings).await;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = scene.node.folder.path();
    fs::write(
        folder.join("client.key"),
        certified.signing_key.serialize_pem(),
    )
    .unwrap();
    fs::write(folder.join("client.crt"), certified.cert.pem()).unwrap();
    let to = scene.node.https.unwrap();
    while TcpStream::connect(to).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (scene, to, TlsConnector::from(Arc::new(config)))
}

/// The beginning of a message that is as long as TLS allows, in records.
fn half_hello() -> Vec<u8> {
    let mut message = vec![0; 65_400];
    // ClientHello, of 65,500 bytes.
    message[..4].copy_from_slice(&[1, 0, 0xff, 0xdc]);
    let mut records = Vec::new();
    for part in message.chunks(RECORD) {
        let length = u16::try_from(part.len()).unwrap();
        records.extend([0x16, 3, 1]);
        records.extend(length.to_be_bytes());
        records.extend(part);
    }
    records
}

async fn half_hellos(scale: Scale) -> Figures {
    let (scene, to, _) = scene(scale).await;
    scene
        .measure(async move {
            let hello = half_hello();
            let mut held = Vec::new();
            for number in 0..CONNECTIONS {
                if let Ok(mut connection) = connect(to, attacker(number % ADDRESSES)).await
                    && connection.write_all(&hello).await.is_ok()
                {
                    held.push(connection);
                }
            }
            sleep(scale.lasts()).await;
            Spoils::note(format!("{} sent", held.len()))
        })
        .await
}

/// Connections whose TLS handshake is complete.
async fn shaken(to: SocketAddr, tls: &TlsConnector) -> Vec<TlsStream<TcpStream>> {
    let openers = (0..16).map(|opener| async move {
        let mut opened = Vec::new();
        for number in (opener..CONNECTIONS).step_by(16) {
            let name = ServerName::try_from("localhost").unwrap();
            if let Ok(stream) = connect_narrow(to, attacker(number % ADDRESSES)).await
                && let Ok(stream) = tls.connect(name, stream).await
            {
                opened.push(stream);
            }
        }
        opened
    });
    let opened = futures::future::join_all(openers).await;
    opened.into_iter().flatten().collect()
}

async fn unread_assets(scale: Scale) -> Figures {
    let (scene, to, tls) = scene(scale).await;
    scene
        .measure(async move {
            let mut held = shaken(to, &tls).await;
            let request = head("GET", "/docs/swagger-ui-bundle.js", USER_KEY, "");
            let mut sent = 0;
            for connection in &mut held {
                let written = connection.write_all(request.as_bytes()).await;
                sent += usize::from(written.is_ok() && connection.flush().await.is_ok());
            }
            sleep(Duration::from_secs(scale.of(4, 30))).await;
            Spoils::note(format!("{sent} sent"))
        })
        .await
}

async fn half_records(scale: Scale) -> Figures {
    let (scene, to, tls) = scene(scale).await;
    scene
        .measure(async move {
            let mut held = shaken(to, &tls).await;
            // Below TLS: an encrypted record of 16 KiB, but for its end.
            let mut record = vec![0; RECORD];
            record[..5].copy_from_slice(&[0x17, 3, 3, 0x40, 0x11]);
            let mut sent = 0;
            for connection in &mut held {
                sent += usize::from(connection.get_mut().0.write_all(&record).await.is_ok());
            }
            sleep(scale.lasts()).await;
            Spoils::note(format!("{sent} sent"))
        })
        .await
}
