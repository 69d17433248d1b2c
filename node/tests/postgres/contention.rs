//! Writes that the server rolls back in favour of other sessions.

use crate::{
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

async fn is_made_again_after(code: &str) {
    let server = Server::primary().await;
    let store = server.store(1).await;
    let first = created(&store, "k", "one").await;
    let other = server.connect("postgres").await.unwrap();
    other.batch_execute(&fails_once(code)).await.unwrap();
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
