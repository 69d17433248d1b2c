//! Whether the API server refused a call for want of a right.

/// The words of a refusal for a missing right. A refusal of admission (a quota, a policy, `PodSecurity`) has the same code and
/// other words.
pub fn refusal(error: &kube::Error) -> Option<&str> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let words = status.message.as_str();
    // The form of k8s.io/apiserver's forbiddenMessage, whichever authorizer refused.
    let of_an_authorizer = words.contains("User \"") && words.contains("\" cannot ");
    (status.code == 403 && of_an_authorizer).then_some(words)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_missing_right_is_told_from_what_admission_refuses() {
        let error = |code, message: &str| {
            let status = Status {
                code,
                message: message.to_owned(),
                ..Status::default()
            };
            kube::Error::Api(Box::new(status))
        };
        let missing = "secrets is forbidden: User \"system:serviceaccount:ops:osc\" cannot create resource \"secrets\" in API group \"\" in the namespace \"team\"";
        assert_eq!(refusal(&error(403, missing)), Some(missing));
        assert_eq!(refusal(&error(404, missing)), None);
        for admission in [
            "secrets \"demo-salt\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=3, limited: count/secrets=3",
            "pods \"demo-0\" is forbidden: violates PodSecurity \"restricted:latest\"",
            "admission webhook \"policy.example\" denied the request: no",
        ] {
            assert_eq!(refusal(&error(403, admission)), None, "{admission}");
        }
    }
}
