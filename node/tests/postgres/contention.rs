//! Writes that the server rolls back, or keeps waiting, because of other sessions.

use opensecureconf_node::{
    cluster::Written,
    store::postgres::{PostgresError, PostgresStore},
};

use crate::{
    failover::impatient,
    server::Server,
    writes::{created, put, token},
};

/// A trigger that fails the first change of an entry with this SQLSTATE: the number of a try outlives its transaction.
fn fails_once(code: &str) -> String {
    format!(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('public.tries') = 1 THEN RAISE EXCEPTION 'another session was first' USING ERRCODE = '{code}'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER fail_once BEFORE UPDATE ON opensecureconf.entries FOR EACH ROW EXECUTE FUNCTION fail_once()"
    )
}

/// A store with an entry whose first change fails with this SQLSTATE.
async fn failing_once(code: &str) -> (Server, PostgresStore, Written) {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let first = created(&store, "k", "one").await;
    let other = server.connect("postgres").await.unwrap();
    other.batch_execute(&fails_once(code)).await.unwrap();
    (server, store, first)
}

async fn is_made_again_after(code: &str) {
    let (server, store, first) = failing_once(code).await;
    let made = put(&store, "k", &first, "two").await.unwrap();
    assert!(made.is_some(), "{code}");
    assert_eq!(token(&store, "k").await.as_deref(), Some("two"));
    let tries = "SELECT last_value FROM tries";
    assert_eq!(server.count(tries).await, 2, "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_server_took_back_is_made_again() {
    for code in ["40001", "40P01"] {
        is_made_again_after(code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_lost_server_says_nothing_of_the_write() {
    // Codes of a pooler that lost the server and of a server that shuts down, after the node sent the commit as well.
    for code in ["08006", "08P01", "57P01"] {
        let (_server, store, first) = failing_once(code).await;
        let outcome = put(&store, "k", &first, "two").await;
        assert!(
            matches!(outcome, Err(PostgresError::Unknown)),
            "{code}: {outcome:?}"
        );
        assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
        let made = put(&store, "k", &first, "two").await.unwrap();
        assert!(made.is_some(), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_session_holds_costs_a_write_its_time_and_no_more() {
    let server = Server::primary().await;
    server.store(1).await;
    let store = server.node(2, impatient(&server)).await;
    let first = created(&store, "k", "one").await;
    let mut other = server.connect("postgres").await.unwrap();
    let holding = other.transaction().await.unwrap();
    let hold = "SELECT FROM opensecureconf.entries FOR UPDATE";
    holding.batch_execute(hold).await.unwrap();
    let refused = put(&store, "k", &first, "two").await.unwrap_err();
    // On a busy machine the server's answer may be late.
    assert!(
        matches!(refused, PostgresError::Locked | PostgresError::Unknown),
        "{refused:?}"
    );
    // Requests that need no lock of the other session go on.
    assert_eq!(token(&store, "k").await.as_deref(), Some("one"));
    created(&store, "l", "one").await;
    holding.rollback().await.unwrap();
    let made = put(&store, "k", &first, "two").await.unwrap();
    assert!(made.is_some(), "the refused write was not made");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_read_committed_whatever_level_the_database_has() {
    const CHECK: &str = "CREATE FUNCTION check_level() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE EXCEPTION 'another level'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER check_level BEFORE INSERT ON opensecureconf.entries FOR EACH ROW EXECUTE FUNCTION check_level()";
    let server = Server::primary().await;
    server.store(1).await;
    let other = server.connect("postgres").await.unwrap();
    other.batch_execute(CHECK).await.unwrap();
    let level = "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'";
    server.sql(level).await;
    let store = server.node(2, server.settings()).await;
    created(&store, "k", "one").await;
}
