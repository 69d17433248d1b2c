//! The custom resource: its fields, its status, and the schema made from them.

mod canonical;
mod crd;
mod defaults;
mod duration;
mod object_names;
mod rules;
mod spec;
mod status;
mod tls;
mod upgrade;

pub use canonical::canonical;
pub use crd::crd;
pub use rules::{REPLICAS, Violation, check};
pub use spec::{
    ApiKeySpec, ClusterSpec, DisruptionBudgetSpec, ExternalTrafficPolicy, ImagePullPolicy,
    IpFamilyPolicy, LogFormat, LogLevel, LoggingSpec, Mode, MonitoringSpec, NetworkPolicySpec,
    OpenSecureConfCluster, PodSecurity, PodTemplateSpec, RebuildMember, Retention, RetentionPolicy,
    SecretKeyReference, ServiceMonitorSpec, ServiceSpec, ServiceType, StorageSpec, WriteAck,
};
pub use status::{CONDITIONS, ClusterStatus, MemberStatus, PendingRollout, TemplateChange};
pub use tls::{AuthoritySpec, IssuerReference, PlainHttp, SecretReference, TlsMode, TlsSpec};
pub use upgrade::{UpgradePolicy, UpgradeSpec, UpgradeWindow};

/// The cluster `prod` of the tests, with this spec.
#[cfg(test)]
pub(crate) fn prod(spec: &str) -> OpenSecureConfCluster {
    let yaml = format!(
        "apiVersion: opensecureconf.io/v1alpha1\nkind: OpenSecureConfCluster\nmetadata: {{name: prod}}\nspec: {spec}\n"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}
