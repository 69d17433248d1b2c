//! Ports of a Service whose number a user changed. An apply identifies them by their number: it would add ours beside the
//! changed one, and the API server refuses two of one name for ever.

use serde_json::Value;

/// The ports of a Service to set before an apply of the wanted ones; `None` where no two clash.
///
/// A port of the same name and another number becomes ours, and keeps its node port. All others stay.
pub(crate) fn resolved(wanted: &Value, live: &Value) -> Option<Vec<Value>> {
    let (wanted, live) = (ports(wanted)?, ports(live)?);
    let mut clashes = false;
    let resolved = live.iter().map(|there| {
        let is_wanted = wanted.iter().any(|port| number(port) == number(there));
        let ours = wanted
            .iter()
            .find(|port| port.get("name") == there.get("name"));
        let Some(Value::Object(ours)) = ours.filter(|_| !is_wanted) else {
            return there.clone();
        };
        clashes = true;
        let mut ours = ours.clone();
        if let Some(node_port) = there.get("nodePort") {
            ours.insert("nodePort".to_owned(), node_port.clone());
        }
        Value::Object(ours)
    });
    let resolved = resolved.collect();
    clashes.then_some(resolved)
}

fn ports(service: &Value) -> Option<&Vec<Value>> {
    service.pointer("/spec/ports")?.as_array()
}

/// The key by which an apply identifies ports.
fn number(port: &Value) -> (Option<&Value>, Option<&Value>) {
    (port.get("port"), port.get("protocol"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn port(name: &str, port: u16) -> Value {
        json!({ "name": name, "port": port, "protocol": "TCP" })
    }

    fn service(ports: &[Value]) -> Value {
        json!({ "spec": { "ports": ports } })
    }

    #[test]
    fn a_port_with_another_number_becomes_ours_and_keeps_its_place_outside() {
        let wanted = service(&[port("https", 9443), port("http", 9000)]);
        let mut changed = port("https", 9444);
        changed["nodePort"] = json!(30_001);
        let live = service(&[changed, port("http", 9000), port("theirs", 8080)]);
        let mut https = port("https", 9443);
        https["nodePort"] = json!(30_001);
        assert_eq!(
            resolved(&wanted, &live).unwrap(),
            [https, port("http", 9000), port("theirs", 8080)]
        );
    }

    #[test]
    fn where_no_name_stands_twice_an_apply_is_enough() {
        let wanted = service(&[port("https", 9443)]);
        assert_eq!(resolved(&wanted, &wanted), None);
        assert_eq!(resolved(&wanted, &service(&[port("theirs", 8080)])), None);
        let mut renamed = port("other", 9443);
        renamed["appProtocol"] = json!("https");
        assert_eq!(resolved(&wanted, &service(&[renamed])), None);
    }
}
