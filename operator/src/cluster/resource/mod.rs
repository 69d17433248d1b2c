//! The custom resource: its fields, its status, and the schema made from them.

mod canonical;
mod crd;
mod database;
mod defaults;
mod duration;
#[cfg(test)]
mod every_field;
mod logging;
mod monitoring;
mod object_names;
mod pod_template;
mod repeated;
mod rules;
mod service;
mod spec;
mod status;
mod storage;
mod tls;
mod upgrade;

pub use canonical::canonical;
pub use crd::crd;
pub use database::{AuthoritiesReference, DatabaseSpec};
pub use logging::{LogFormat, LogLevel, LoggingSpec};
pub use monitoring::{MonitoringSpec, ServiceMonitorSpec};
pub use pod_template::PodTemplateSpec;
pub use rules::{REPLICAS, REPLICAS_SHARED, Violation, check};
pub use service::{ExternalTrafficPolicy, IpFamilyPolicy, ServiceSpec, ServiceType};
pub use spec::{
    ApiKeySpec, ClusterSpec, DisruptionBudgetSpec, ImagePullPolicy, Mode, NetworkPolicySpec,
    OpenSecureConfCluster, PodSecurity, RebuildMember, SecretKeyReference, WriteAck,
};
pub use status::{
    CONDITIONS, ClusterStatus, MemberStatus, PENDING_REASONS, PendingRollout, TemplateChange,
    WrittenBy,
};
pub use storage::{Retention, RetentionPolicy, StorageSpec};
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
