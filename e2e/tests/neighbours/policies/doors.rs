//! Probers of a node's ports, each from a place of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{Api, ResourceExt, api::ListParams};
use opensecureconf_e2e::{Place, Prober, Round, Stage, Target};
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::{mpsc, watch},
    time::timeout,
};

use crate::report;

/// The ports that a node serves.
pub(super) const PORTS: [u16; 5] = [9000, 9443, 9001, 9002, 9003];
const LIMIT: Duration = Duration::from_mins(1);

pub(super) const NODE: &str = "a node of the cluster";
pub(super) const OPERATOR: &str = "an operator, in its namespace";
pub(super) const CLIENT: &str = "a client that is listed";
pub(super) const UNLISTED: &str = "a client that is not listed";
pub(super) const OTHER_CLUSTER: &str = "a node of another cluster beside it";
pub(super) const ELSEWHERE: &str = "a pod of another namespace";
pub(super) const PROMETHEUS: &str = "a Prometheus";
pub(super) const SELF_STYLED: &str = "who calls itself Prometheus elsewhere";
pub(super) const FALSE_OPERATOR: &str = "who calls itself operator elsewhere";
pub(super) const FALSE_NODE: &str = "who calls itself a node elsewhere";
pub(super) const MACHINE: &str = "another machine of Kubernetes";
pub(super) const OUTSIDE: &str = "outside, by the node port";

/// The open ports of each source.
pub(super) type Table = BTreeMap<&'static str, BTreeSet<u16>>;

/// All probers of the first node's ports, and the open ports of each in its last round.
pub(super) struct Doors {
    pub(super) sources: Vec<&'static str>,
    rounds: mpsc::UnboundedReceiver<Round>,
    /// The node ports of the machine, each for a port of the Service.
    node_ports: watch::Sender<Vec<(u16, SocketAddr)>>,
    machine: IpAddr,
    _probers: Vec<Prober>,
}

impl Doors {
    pub(super) async fn open(stage: &Stage, monitoring: &Stage) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let elsewhere = stage.beside("elsewhere").await?;
        let operator = stage.within("opensecureconf-system");
        let pods = stage.api::<Pod>();
        let target = pods.get("demo-0").await?.status.context("no status")?;
        let machine: IpAddr = target.host_ip.context("a pod without a machine")?.parse()?;
        let target = Target {
            address: target.pod_ip.context("a pod without an address")?,
            ports: PORTS.to_vec(),
        };
        let nodes: Api<Node> = Api::all(stage.client.clone());
        let nodes = nodes.list(&ListParams::default()).await?;
        let other = nodes
            .iter()
            .find(|node| !addresses(node).contains(&machine))
            .context("one machine only")?
            .name_any();

        let name = |name| ("app.kubernetes.io/name", name);
        let node = |cluster| {
            vec![
                name("opensecureconf"),
                ("app.kubernetes.io/instance", cluster),
                ("app.kubernetes.io/component", "node"),
            ]
        };
        let places = vec![
            (stage, NODE, Place::Beside("demo-1")),
            (
                &operator,
                OPERATOR,
                Place::Pod(vec![name("opensecureconf-operator")]),
            ),
            (stage, CLIENT, Place::Pod(vec![("role", "client")])),
            (stage, UNLISTED, Place::Pod(vec![("role", "other")])),
            (stage, OTHER_CLUSTER, Place::Pod(node("other"))),
            (&elsewhere, ELSEWHERE, Place::Pod(vec![("role", "client")])),
            (monitoring, PROMETHEUS, Place::Pod(vec![name("prometheus")])),
            (
                &elsewhere,
                SELF_STYLED,
                Place::Pod(vec![name("prometheus")]),
            ),
            (
                &elsewhere,
                FALSE_OPERATOR,
                Place::Pod(vec![name("opensecureconf-operator")]),
            ),
            (&elsewhere, FALSE_NODE, Place::Pod(node("demo"))),
            (stage, MACHINE, Place::Machine(&other)),
        ];
        let (found, rounds) = mpsc::unbounded_channel();
        let mut sources: Vec<_> = places.iter().map(|(_, source, _)| *source).collect();
        let started = places.into_iter().map(|(stage, source, place)| {
            Prober::start(stage, source, place, &target, found.clone())
        });
        let probers = futures::future::try_join_all(started).await?;
        let (node_ports, known) = watch::channel(Vec::new());
        tokio::spawn(try_node_ports(known, found));
        sources.push(OUTSIDE);
        report("until all try", begun);
        Ok(Self {
            sources,
            rounds,
            node_ports,
            machine,
            _probers: probers,
        })
    }

    /// Makes the probers outside try the present node ports of the Service, at the machine of the first node.
    pub(super) async fn enter_by_node_ports(&self, stage: &Stage) -> anyhow::Result<()> {
        let ports = |service: &Service| -> Option<Vec<(u16, u16)>> {
            let ports = service.spec.as_ref()?.ports.as_ref()?.iter();
            ports
                .map(|port| Some((port.port.try_into().ok()?, port.node_port?.try_into().ok()?)))
                .collect()
        };
        let has =
            |found: Option<&Service>| found.and_then(ports).is_some_and(|ports| ports.len() == 2);
        let service = stage
            .until(stage.api(), "demo", "with node ports", has)
            .await?;
        let ports = service.as_ref().and_then(ports).context("no ports")?;
        let doors = ports
            .into_iter()
            .map(|(port, door)| (port, (self.machine, door).into()));
        self.node_ports.send_replace(doors.collect());
        Ok(())
    }

    /// Where these tests stand, as the machine of the first node sees it.
    pub(super) async fn own_address(&self) -> anyhow::Result<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        socket.connect((self.machine, 9)).await?;
        Ok(socket.local_addr()?.ip())
    }

    /// Waits until each source has found the expected ports, in two rounds at least that began after the call.
    pub(super) async fn until(&mut self, what: &str, expected: Table) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut found = Table::new();
        let mut rounds: BTreeMap<&str, u32> = BTreeMap::new();
        while self.rounds.try_recv().is_ok() {}
        let wanted = |source: &&'static str| expected.get(source).cloned().unwrap_or_default();
        let as_wanted = |found: &Table| {
            let mut sources = self.sources.iter();
            sources.all(|source| found.get(source) == Some(&wanted(source)))
        };
        let settled = async {
            loop {
                let Round { source, open } =
                    self.rounds.recv().await.context("nobody tries any more")?;
                let seen = rounds.entry(source).or_default();
                *seen += 1;
                // The first may have begun before.
                if *seen > 1 {
                    found.insert(source, open);
                }
                if as_wanted(&found) && rounds.values().all(|seen| *seen > 2) {
                    return anyhow::Ok(());
                }
            }
        };
        let settled = timeout(LIMIT, settled).await;
        report(what, begun);
        print(&self.sources, &found);
        if let Ok(settled) = settled {
            return settled;
        }
        let wrong = self
            .sources
            .iter()
            .map(|source| (source, found.get(source), wanted(source)));
        let wrong: Vec<_> = wrong
            .filter(|(_, found, wanted)| *found != Some(wanted))
            .map(|(source, found, wanted)| format!("{source}: {found:?}, not {wanted:?}"))
            .collect();
        bail!("{what}: {wrong:#?}")
    }
}

async fn try_node_ports(
    mut known: watch::Receiver<Vec<(u16, SocketAddr)>>,
    found: mpsc::UnboundedSender<Round>,
) {
    loop {
        let doors = known.borrow_and_update().clone();
        let tries = doors.into_iter().map(async |(port, door)| {
            let connected = timeout(Duration::from_millis(1500), TcpStream::connect(door)).await;
            matches!(connected, Ok(Ok(_))).then_some(port)
        });
        let open = futures::future::join_all(tries).await;
        let open = open.into_iter().flatten().collect();
        if found
            .send(Round {
                source: OUTSIDE,
                open,
            })
            .is_err()
        {
            return;
        }
        let _ = timeout(Duration::from_millis(300), known.changed()).await;
    }
}

fn addresses(node: &Node) -> Vec<IpAddr> {
    let addresses = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten());
    addresses
        .filter_map(|address| address.address.parse().ok())
        .collect()
}

fn print(sources: &[&str], found: &Table) {
    let head = PORTS.map(|port| format!("{port:6}")).concat();
    let mut lines = vec![format!("{:40}{head}", "")];
    for source in sources {
        let open = found.get(source);
        let mark = |port| {
            if open.is_some_and(|open| open.contains(&port)) {
                "yes"
            } else {
                "-"
            }
        };
        let marks = PORTS.map(|port| format!("{:>6}", mark(port))).concat();
        lines.push(format!("{source:40}{marks}"));
    }
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}
