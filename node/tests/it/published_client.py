"""Calls every method of a published client that has a server side; prints the method and what came back, line by line.

Arguments: folder of the client, its version, URL, API key, user key.
"""

import sys

folder, version, url, api_key, user_key = sys.argv[1:]
sys.path.insert(0, folder)
import opensecureconf_client as osc  # noqa: E402

major = int(version[0])
client = osc.OpenSecureConfClient(url, user_key, api_key=api_key, max_retries=0)


def entry(key):
    """How this version names one entry."""
    return (key, "production") if major == 3 else (key,)


def item(key):
    return {"key": key, "environment": "production"} if major == 3 else key


def create(key, value, category=None):
    if major == 3:
        return client.create(key, value, "production", category)
    return client.create(key, value, category)


def update(key, value):
    if major == 3:
        return client.update(key, "production", value)
    return client.update(key, value)


def refused(error, call, *arguments):
    try:
        call(*arguments)
    except error as refusal:
        return type(refusal).__name__
    raise AssertionError(f"{call} was not refused")


def show(method, result):
    print(f"{method}: {result}")


show("ping", client.ping())
show("get_service_info", client.get_service_info()["version"])
show("get_cluster_status", client.get_cluster_status()["enabled"])
show("get_cluster_health", client.get_cluster_health()["status"])
show("create", create("a", {"n": 1}, "db")["value"])
show("create again", refused(osc.ConfigurationExistsError, create, "a", {"n": 2}))
if version != "2.0.2":
    show("create others", [create(f"other{n}", value)["value"] for n, value in enumerate(["text", 5, True, [1]])])
    for n in range(4):
        client.delete(*entry(f"other{n}"))
show("read", client.read(*entry("a"))["value"])
show("read missing", refused(osc.ConfigurationNotFoundError, client.read, *entry("missing")))
show("update", update("a", {"n": 3})["value"])
bulk = [{"key": key, "value": {"b": key}, "category": "bulk"} | ({"environment": "production"} if major == 3 else {})
        for key in ("b", "c")]
show("bulk_create", [created["key"] for created in client.bulk_create(bulk)])
show("bulk_read", [read["value"]["b"] for read in client.bulk_read([item("b"), item("c")])])
show("list_all", [listed["key"] for listed in client.list_all()])
show("list_all category", [listed["key"] for listed in client.list_all(category="bulk")])
show("exists", [client.exists(*entry("a")), client.exists(*entry("missing"))])
default = client.get_or_default(*entry("missing"), {"d": 1})
show("get_or_default", default["value"])
show("count", [client.count(), client.count(category="bulk")])
show("list_categories", sorted(client.list_categories()))
if version != "2.0.2":
    show("list_environments", client.list_environments())
show("bulk_delete", len(client.bulk_delete([item("b"), item("c")])["deleted"]))
show("delete", client.delete(*entry("a"))["message"])
show("delete missing", refused(osc.ConfigurationNotFoundError, client.delete, *entry("a")))
if version != "2.0.2":
    client.create("elsewhere", {"n": 1}, category="db", environment="staging")
    filters = [{"environment": "staging"}, {"environment": "none"}, {"environment": "staging", "category": "db"}]
    show("list_all environment", [[listed["key"] for listed in client.list_all(**only)] for only in filters])
    show("count environment", [client.count(**only) for only in filters])
create("mine", {"n": 1})
stranger = osc.OpenSecureConfClient(url, "another user key", api_key=api_key, max_retries=0)
show("wrong user key", refused(osc.AuthenticationError, stranger.read, *entry("mine")))
intruder = osc.OpenSecureConfClient(url, user_key, api_key="wrong", max_retries=0)
show("wrong API key", refused(osc.AuthenticationError, intruder.read, *entry("mine")))
