//! Federated: values stay with the nodes that received them, and every node serves them.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    api::{API_KEY, Answer, Api, OTHER_USER_KEY},
    cluster::Cluster,
    network::Way,
    wait::until,
};

/// How many questions went between nodes so far.
fn questions(cluster: &Cluster) -> usize {
    cluster.network.traffic().questions
}

fn missing(answer: &Answer) -> Option<&str> {
    answer.header("x-osc-missing-nodes")
}

fn keys(list: &Value) -> Vec<&str> {
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["key"].as_str().unwrap())
        .collect()
}

async fn as_another(api: &Api, method: Method, path: &str) -> Answer {
    let mut request = api.bare(method.clone(), path).unwrap();
    request = request
        .header("X-API-Key", API_KEY)
        .header("X-User-Key", OTHER_USER_KEY);
    if method == Method::PUT {
        request = request.json(&json!({"value": "theirs"}));
    }
    Api::send(Some(request)).await.unwrap()
}

async fn remove(cluster: &Cluster, by: usize, member: usize, incarnation: &str) {
    let path = format!("/cluster/members/n{member}/remove?incarnation={incarnation}&force=true");
    let removed = cluster.api(by).owner(Method::POST, &path, None).await;
    removed.with(200);
}

/// Waits until these nodes see that a node does not answer.
async fn silent(cluster: &Cluster, silent: usize, seen_by: &[usize]) {
    for &node in seen_by {
        let name = format!("n{silent}");
        cluster
            .status_until(node, &format!("{name} is silent"), |status| {
                let members = status["details"]["members"].as_array().unwrap();
                let member = members.iter().find(|member| member["name"] == *name);
                member.is_some_and(|member| member["reachable"] == false)
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_stays_with_its_owner_while_every_node_serves_changes_and_deletes_it() {
    let cluster = Cluster::federated(3).await;
    let created = cluster.api(2).create("entry", json!({"a": [1]})).await;
    let first = created.with(201).version();
    cluster.everywhere("entry", &first).await;
    for api in cluster.apis() {
        let read = api.get("/configs/entry").await.with(200);
        assert_eq!(read.body["value"], json!({"a": [1]}));
        assert_eq!(read.version(), first);
        assert_eq!(api.status().await["mode"], "federated");
    }
    let changed = cluster.api(0).put("entry", "changed").await.with(200);
    cluster.everywhere("entry", &changed.version()).await;
    // The home node knows the principal for whom another node asked.
    let written = cluster.logged(2, "value_written_for_peer", 1).await;
    assert_eq!(written["principal"], "api-key-1");
    assert_eq!(cluster.api(1).value("entry").await, "changed");
    // The database that wrote it is the second part of a version.
    let writer = |version: &str| version.split_once('-').unwrap().1.to_owned();
    assert_eq!(writer(&changed.version()), writer(&first));
    for (node, owns) in [(0, false), (1, false), (2, true)] {
        assert_eq!(cluster.nodes[node].holds_ciphertext(), owns, "n{node}");
    }
    let deleted = cluster.api(1).delete("entry").await.with(200);
    for api in cluster.apis() {
        until("it is deleted everywhere", async || {
            let read = api.get_since("entry", &deleted.version()).await;
            (read.status == 404).then_some(())
        })
        .await;
        assert_eq!(api.get("/configs").await.with(200).body, json!([]));
    }
    cluster.api(0).create("entry", "new").await.with(201);
    cluster.converged().await;
    assert_eq!(cluster.api(2).value("entry").await, "new");
    assert!(cluster.nodes[0].holds_ciphertext());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_that_its_cluster_is_federated_and_how_long_its_exchanges_take() {
    let cluster = Cluster::federated(2).await;
    cluster.api(0).create("here", 1).await.with(201);
    cluster.converged().await;
    for api in cluster.apis() {
        assert_eq!(
            api.get("/").await.with(200).body["cluster_mode"],
            "federated"
        );
        let metrics = api.get("/metrics").await.with(200).body;
        let exchanges = metrics
            .as_str()
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("osc_cluster_sync_duration_seconds_count "))
            .unwrap();
        assert_ne!(exchanges, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_asks_nobody_and_a_read_asks_one_node_once() {
    let cluster = Cluster::federated(3).await;
    for node in 0..3 {
        let key = format!("of-n{node}");
        cluster.api(node).create(&key, node).await.with(201);
    }
    cluster.converged().await;
    let before = questions(&cluster);
    for api in cluster.apis() {
        for number in 0..10 {
            api.get(&format!("/configs/missing-{number}"))
                .await
                .with(404);
        }
    }
    assert_eq!(questions(&cluster), before);
    assert_eq!(cluster.api(0).value("of-n0").await, 0);
    assert_eq!(questions(&cluster), before);
    assert_eq!(cluster.api(0).value("of-n2").await, 2);
    assert_eq!(questions(&cluster), before + 1);
    let list = cluster.api(0).get("/configs").await.with(200);
    assert_eq!(keys(&list.body), ["of-n0", "of-n1", "of-n2"]);
    // One question to each home node, and no node passed a question on.
    assert_eq!(questions(&cluster), before + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_exists_once_and_only_its_user_key_changes_it_from_anywhere() {
    let cluster = Cluster::federated(3).await;
    let created = cluster.api(0).create("entry", "mine").await.with(201);
    cluster.everywhere("entry", &created.version()).await;
    for api in cluster.apis() {
        let taken = api.create("entry", "again").await.with(400);
        assert!(taken.body.to_string().contains("already exists"));
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            as_another(&api, method, "/configs/entry").await.with(403);
        }
        assert_eq!(api.value("entry").await, "mine");
    }
    let stale = [("If-Match", "\"0000000000000001-0000000000000001\"")];
    let other = cluster.api(1);
    other.put_with("entry", 1, &stale).await.with(412);
    let current = format!("\"{}\"", created.version());
    let put = other.put_with("entry", 2, &[("If-Match", &current)]).await;
    let put = put.with(200);
    assert!(put.version() > created.version());
    // In strict mode the home node decides, whichever node the client asks.
    let third = cluster.api(2);
    let old = [("If-Match", current.as_str())];
    third.put_with("entry", 3, &old).await.with(412);
    let upsert = Some(json!({"value": 4}));
    let upsert = third.call(Method::PUT, "/configs/entry?upsert=true", upsert);
    upsert.await.with(200);
    let list = cluster.converged().await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["value"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_on_all_nodes_lose_no_update_of_one_entry() {
    let cluster = Cluster::federated(3).await;
    let created = cluster.api(0).create("counter", 0).await.with(201);
    cluster.everywhere("counter", &created.version()).await;
    let clients = (0..3).map(|node| {
        let api = cluster.api(node);
        async move {
            let mut counted = 0;
            while counted < 5 {
                let read = api.get("/configs/counter").await.with(200);
                let next = read.body["value"].as_u64().unwrap() + 1;
                let current = format!("\"{}\"", read.version());
                let put = api
                    .put_with("counter", next, &[("If-Match", &current)])
                    .await;
                assert!([200, 409, 412].contains(&put.status), "{}", put.body);
                counted += u64::from(put.status == 200);
            }
        }
    });
    futures::future::join_all(clients).await;
    assert_eq!(cluster.api(1).value("counter").await, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_owner_is_down_its_entries_are_missing_by_name_and_all_else_goes_on() {
    let mut cluster = Cluster::federated(3).await;
    for node in 0..3 {
        let key = format!("of-n{node}");
        cluster.api(node).create(&key, node).await.with(201);
    }
    cluster.api(0).create("deleted", 1).await.with(201);
    cluster.api(0).delete("deleted").await.with(200);
    cluster.converged().await;
    cluster.nodes[2].kill();
    silent(&cluster, 2, &[0, 1]).await;
    let api = cluster.api(0);
    for path in ["/configs/of-n2", "/configs/never", "/configs/deleted"] {
        let read = api.get(path).await.with(503);
        assert_eq!(missing(&read), Some("n2"), "{path}");
        assert!(read.header("retry-after").is_some());
        let settled = api.get(&format!("{path}?partial=allow")).await.with(404);
        assert_eq!(settled.header("x-osc-partial"), Some("true"));
        assert_eq!(missing(&settled), Some("n2"));
    }
    assert_eq!(missing(&api.put("of-n2", 9).await.with(503)), Some("n2"));
    assert_eq!(missing(&api.delete("of-n2").await.with(503)), Some("n2"));
    api.create("of-n2", 9).await.with(400);
    api.create("new", 9).await.with(201);
    api.put("of-n1", 9).await.with(200);
    let list = api.get("/configs").await.with(200);
    assert_eq!(keys(&list.body), ["new", "of-n0", "of-n1"]);
    assert_eq!(list.header("x-osc-partial"), Some("true"));
    assert_eq!(missing(&list), Some("n2"));
    cluster.nodes[2].start().await;
    assert_eq!(cluster.converged().await.len(), 4);
    assert_eq!(api.value("of-n2").await, 2);
    api.get("/configs/never").await.with(404);
    assert_eq!(api.get("/configs").await.header("x-osc-partial"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_node_that_has_just_started_takes_no_change_before_it_is_ready() {
    let mut cluster = Cluster::federated(3).await;
    cluster.api(2).create("entry", "before").await.with(201);
    cluster.converged().await;
    cluster.nodes[2].kill();
    silent(&cluster, 2, &[0, 1]).await;
    // It waits for n1 in vain, and n0 finds it at once.
    cluster.network.both_ways(1, 2, Way::Swallowed);
    cluster.nodes[2].start().await;
    let api = cluster.api(0);
    until("n2 takes the change", async || {
        let put = api.put("entry", "after").await;
        if put.status == 200 {
            return Some(());
        }
        assert_eq!(missing(&put.with(503)), Some("n2"));
        None
    })
    .await;
    assert!(cluster.api(2).is_ready().await);
    cluster.network.heal();
    cluster.converged().await;
    assert_eq!(cluster.api(1).value("entry").await, "after");
}

/// Execution 13: the name of a value that is lost with its owner's disk is not locked for ever.
#[tokio::test(flavor = "multi_thread")]
async fn e13_a_value_that_is_lost_with_its_disk_can_be_created_anew() {
    let mut cluster = Cluster::federated(3).await;
    for key in ["first", "second", "third"] {
        cluster.api(2).create(key, "old").await.with(201);
    }
    cluster.api(0).create("other", 1).await.with(201);
    cluster.converged().await;
    let incarnation = cluster.api(2).incarnation().await;
    cluster.nodes[2].kill();
    cluster.nodes[2].wipe();
    silent(&cluster, 2, &[0, 1]).await;
    cluster.api(0).get("/configs/first").await.with(503);
    remove(&cluster, 0, 2, &incarnation).await;
    let api = cluster.api(1);
    until("n1 knows of the removal", async || {
        let read = api.get("/configs/first").await;
        (read.status == 404).then(|| assert_eq!(read.header("x-osc-lost"), Some("true")))
    })
    .await;
    let put = api.put("first", "new").await.with(404);
    assert_eq!(put.header("x-osc-lost"), Some("true"));
    let list = api.get("/configs").await.with(200);
    assert_eq!(keys(&list.body), ["other"]);
    assert_eq!(list.header("x-osc-lost"), Some("3"));
    let created = api.create("first", "new").await.with(201);
    let upsert = Some(json!({"value": "upserted"}));
    let upsert = api.call(Method::PUT, "/configs/second?upsert=true", upsert);
    upsert.await.with(201);
    api.owner(Method::DELETE, "/admin/configs/third", None)
        .await
        .with(200);
    cluster.everywhere("first", &created.version()).await;
    // A node with an empty disk joins and serves the values of the others.
    cluster.nodes[2].start().await;
    let list = cluster.converged().await;
    assert_eq!(keys(&Value::from(list)), ["first", "other", "second"]);
    assert_eq!(cluster.api(2).value("first").await, "new");
    assert_eq!(api.get("/configs").await.header("x-osc-lost"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_its_owner_alone_has_lost_can_be_created_anew_from_anywhere() {
    let mut cluster = Cluster::federated(3).await;
    for key in ["lost", "kept"] {
        cluster.api(2).create(key, "old").await.with(201);
    }
    cluster.converged().await;
    cluster.nodes[2].stop().await;
    let database = Connection::open(cluster.nodes[2].folder.join("configurations.db")).unwrap();
    let values = "DELETE FROM home_values WHERE key = 'lost'";
    assert_eq!(database.execute(values, []).unwrap(), 1);
    drop(database);
    let check = Command::new(env!("CARGO_BIN_EXE_osc-node"))
        .arg("check")
        .current_dir(&cluster.nodes[2].folder)
        .output()
        .unwrap();
    let found = String::from_utf8(check.stdout).unwrap();
    assert!(
        found.contains(
            "key 'lost' in environment '': its value, which this node alone had, is gone"
        ),
        "{found}"
    );
    assert!(!found.contains("'kept'"), "{found}");
    cluster.nodes[2].start().await;
    cluster.all_ready().await;
    for api in cluster.apis() {
        let read = api.get("/configs/lost").await.with(404);
        assert_eq!(read.header("x-osc-lost"), Some("true"));
        api.create("kept", "new").await.with(400);
    }
    cluster.api(0).create("lost", "new").await.with(201);
    cluster.converged().await;
    assert_eq!(cluster.api(2).value("lost").await, "new");
}

/// Execution 12: an owner whose database went back is fenced, and its values, the only copy, are in force again.
#[tokio::test(flavor = "multi_thread")]
async fn e12_an_owner_that_was_fenced_takes_its_values_back() {
    let mut cluster = Cluster::federated(3).await;
    cluster.api(2).create("kept", "only copy").await.with(201);
    cluster.api(2).create("changed", "old").await.with(201);
    cluster.converged().await;
    cluster.nodes[2].stop().await;
    cluster.nodes[2].copy_disk_aside();
    cluster.nodes[2].start().await;
    cluster.converged().await;
    cluster.api(2).put("changed", "new").await.with(200);
    cluster.converged().await;
    let before = cluster.api(2).incarnation().await;
    cluster.nodes[2].kill();
    cluster.nodes[2].roll_disk_back();
    cluster.nodes[2].start().await;
    cluster.logged(2, "values_taken_back", 1).await;
    let list = cluster.converged().await;
    assert_eq!(list.len(), 1, "{list:?}");
    for api in cluster.apis() {
        let read = api.get("/configs/kept").await.with(200);
        assert_eq!(read.body["value"], "only copy");
        assert!(!read.version().ends_with(&before));
        // The write after the copy is lost, and the older value does not pass for it.
        let lost = until("what it took back is known", async || {
            let read = api.get("/configs/changed").await;
            (read.status != 503).then_some(read)
        });
        let lost = lost.await.with(404);
        assert_eq!(lost.header("x-osc-lost"), Some("true"));
    }
    let conflicts = cluster.api(2).get("/cluster/conflicts").await.with(200);
    assert_eq!(conflicts.body[0]["value"], "old");
    let again = cluster.api(0).create("changed", "newer").await.with(201);
    cluster.everywhere("changed", &again.version()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_node_hands_its_values_over_before_it_has_left() {
    let mut cluster = Cluster::federated(3).await;
    for number in 0..40 {
        let key = format!("entry-{number:02}");
        cluster.api(2).create(&key, number).await.with(201);
    }
    let before = cluster.converged().await;
    let leaver = cluster.api(2);
    let leave = leaver.owner(Method::POST, "/cluster/leave", None);
    leave.await.with(200);
    cluster.state(2, "left").await;
    cluster.nodes[2].stop().await;
    for node in [0, 1] {
        cluster
            .status_until(node, "n2 has left", |status| {
                let members = status["details"]["members"].as_array().unwrap();
                members
                    .iter()
                    .any(|member| member["name"] == "n2" && member["state"] == "left")
            })
            .await;
        let list = cluster.api(node).get("/configs").await.with(200);
        assert_eq!(missing(&list), None);
        assert_eq!(list.body, Value::from(before.clone()));
    }
    assert!(cluster.nodes[0].holds_ciphertext() || cluster.nodes[1].holds_ciphertext());
    cluster.api(0).put("entry-07", "changed").await.with(200);
    cluster.api(1).delete("entry-08").await.with(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_filters_run_over_the_entries_of_all_nodes() {
    let cluster = Cluster::federated(3).await;
    for number in 0..30 {
        let category = if number % 2 == 0 { "even" } else { "odd" };
        let environment = if number < 20 { "live" } else { "test" };
        let body = json!({
            "key": format!("entry-{number:02}"),
            "value": number,
            "category": category,
            "environment": environment,
        });
        let api = cluster.api(number % 3);
        let created = api.call(Method::POST, "/configs", Some(body)).await;
        created.with(201);
    }
    let all = cluster.converged().await;
    assert_eq!(all.len(), 30);
    for api in cluster.apis() {
        let (mut path, mut seen) = ("/configs?limit=7".to_owned(), Vec::new());
        loop {
            let page = api.get(&path).await.with(200);
            seen.extend(page.body.as_array().unwrap().clone());
            let Some(link) = page.header("link") else {
                break;
            };
            let (next, _) = link[1..].split_once('>').unwrap();
            next.clone_into(&mut path);
        }
        assert_eq!(seen, all);
        let filtered = api.get("/configs?category=odd&environment=test").await;
        let filtered = filtered.with(200).body;
        assert_eq!(filtered.as_array().unwrap().len(), 5);
        let names = api.get("/configs?keys_only=true").await.with(200).body;
        let unique: BTreeSet<_> = keys(&names).into_iter().collect();
        assert_eq!(unique.len(), 30);
        assert_eq!(names[0].get("value"), None);
        let theirs = as_another(&api, Method::GET, "/configs").await.with(200);
        assert_eq!(theirs.header("x-osc-skipped"), Some("30"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_is_fixed_with_the_bootstrap_and_another_one_is_refused_by_name() {
    let mut cluster = Cluster::prepared(3).await;
    for node in [0, 1] {
        cluster.nodes[node].set("OSC_CLUSTER_MODE", "federated");
    }
    cluster.start_all().await;
    cluster.bootstrap(0).await.with(200);
    cluster.ready(0).await;
    cluster.ready(1).await;
    for (node, peer) in [(2, "n0"), (0, "n2")] {
        let refused = until("the other mode is refused", async || {
            let events = cluster.nodes[node].events("peer_refused");
            events.into_iter().find(|event| event["peer"] == peer)
        })
        .await;
        assert!(
            refused["reason"].to_string().contains("other_mode"),
            "{refused}"
        );
    }
    assert!(cluster.api(0).is_ready().await && cluster.api(1).is_ready().await);
    cluster.nodes[1].stop().await;
    cluster.nodes[1].set("OSC_CLUSTER_MODE", "replica");
    let (code, complaint) = cluster.nodes[1].run_to_its_end(&[]);
    assert_eq!(code, Some(2), "{complaint}");
    assert!(
        complaint.contains("OSC_CLUSTER_MODE=federated"),
        "{complaint}"
    );
    cluster.nodes[1].set("OSC_CLUSTER_ENABLED", "false");
    let (code, complaint) = cluster.nodes[1].run_to_its_end(&[]);
    assert_eq!(code, Some(2), "{complaint}");
}

/// The memory of a node's process, in KiB.
fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_holds_one_answer_of_each_other_node_at_a_time() {
    const VALUES: usize = 32;
    let cluster = Cluster::federated(2).await;
    let value = "x".repeat(900_000);
    for number in 0..VALUES {
        let key = format!("large-{number}");
        let created = cluster.api(1).create(&key, value.as_str()).await;
        let version = created.with(201).version();
        if number == VALUES - 1 {
            cluster.everywhere(&key, &version).await;
        }
    }
    let id = cluster.nodes[0].id();
    let before = resident(id);
    let over = Arc::new(AtomicBool::new(false));
    let most = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = resident(id).max(most);
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        }
    });
    let names = cluster.api(0).get("/configs?keys_only=true").await;
    over.store(true, Ordering::Relaxed);
    let names = names.with(200);
    assert_eq!(missing(&names), None);
    assert_eq!(keys(&names.body).len(), VALUES);
    let grown = most.join().unwrap().saturating_sub(before);
    // All of them together take 38 MB as ciphertext.
    assert!(grown < 24 << 10, "{grown} KiB more");
}
