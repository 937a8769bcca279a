//! The image's configuration, merged onto that of its base.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use towline_oci::spec::{Config, History, ImageConfiguration, RootFs};
use towline_oci::{Digest, canonical};

use crate::plan::ImagePlan;

/// Properties that Docker keeps in a configuration beyond the OCI specification, and that images
/// inherit from their base (Docker image specification 1.2 and the Dockerfile reference). `OnBuild`
/// is not inherited: its triggers belong to a Dockerfile.
const HANDED_DOWN: [&str; 4] = ["ArgsEscaped", "Healthcheck", "Shell", "StopTimeout"];

/// A base's configuration.
#[derive(Debug, Clone)]
pub(crate) struct BaseConfig {
    pub(crate) typed: ImageConfiguration,
    /// The same document, including properties that the typed form does not know.
    pub(crate) raw: Value,
}

/// The bytes of the configuration of an image with the plan's settings and one more layer
/// than its base.
pub(crate) fn write(plan: &ImagePlan, base: Option<&BaseConfig>, diff_id: &Digest) -> Vec<u8> {
    let created = created(plan);
    let below = base.map(|base| base.typed.clone()).unwrap_or_default();
    let mut diff_ids = match base {
        Some(base) => base.typed.rootfs().diff_ids().clone(),
        None => Vec::new(),
    };
    diff_ids.push(diff_id.to_string());
    let mut rootfs = RootFs::default();
    rootfs.set_typ("layers".to_owned());
    rootfs.set_diff_ids(diff_ids);

    let mut image = ImageConfiguration::default();
    image.set_created(Some(created.clone()));
    image.set_os(plan.platform.os.as_str().into());
    image.set_architecture(plan.platform.architecture.as_str().into());
    let variant = plan.platform.variant.clone();
    image.set_variant(variant.or_else(|| below.variant().clone()));
    image.set_os_version(below.os_version().clone());
    image.set_os_features(below.os_features().clone());
    image.set_config(Some(settings(
        plan,
        below.config().clone().unwrap_or_default(),
    )));
    image.set_rootfs(rootfs);
    image.set_history(history(base, created));

    let mut document = serde_json::to_value(image).expect("a configuration has only string keys");
    hand_down(base, &mut document);
    canonical(&document)
}

/// The time of creation in RFC 3339.
fn created(plan: &ImagePlan) -> String {
    let seconds = plan.created.unwrap_or(0);
    Timestamp::from_second(seconds.into())
        .expect("32 bits of seconds end in 2106, which is a time")
        .to_string()
}

/// The base's settings, overridden by the plan's.
fn settings(plan: &ImagePlan, mut config: Config) -> Config {
    if !plan.entrypoint.is_empty() {
        config.set_entrypoint(Some(plan.entrypoint.clone()));
        // The base's arguments were meant for the base's program.
        config.set_cmd(None);
    }
    if !plan.command.is_empty() {
        config.set_cmd(Some(plan.command.clone()));
    }
    if plan.working_directory.is_some() {
        config.set_working_dir(plan.working_directory.clone());
    }
    if plan.user.is_some() {
        config.set_user(plan.user.clone());
    }
    let mut environment = config.env().clone().unwrap_or_default();
    for (name, value) in &plan.environment {
        set_variable(&mut environment, name, value);
    }
    config.set_env(some_unless_empty(environment, Vec::is_empty));
    let mut labels = config.labels().clone().unwrap_or_default();
    labels.extend(plan.labels.clone());
    config.set_labels(some_unless_empty(labels, HashMap::is_empty));
    let mut ports = config.exposed_ports().clone().unwrap_or_default();
    ports.extend(plan.exposed_ports.iter().map(ToString::to_string));
    config.set_exposed_ports(some_unless_empty(ports, Vec::is_empty));
    config
}

/// Replaces a variable in place, or adds it at the end.
fn set_variable(environment: &mut Vec<String>, name: &str, value: &str) {
    let line = format!("{name}={value}");
    let same = environment
        .iter_mut()
        .find(|old| old.split('=').next() == Some(name));
    match same {
        Some(old) => *old = line,
        None => environment.push(line),
    }
}

fn some_unless_empty<T>(value: T, is_empty: impl FnOnce(&T) -> bool) -> Option<T> {
    let keep = !is_empty(&value);
    keep.then_some(value)
}

/// One entry per layer, or none if the base has layers but no history: a history that does not
/// match the layers is invalid.
fn history(base: Option<&BaseConfig>, created: String) -> Option<Vec<History>> {
    let mut history = match base {
        Some(base) if base.typed.rootfs().diff_ids().is_empty() => Vec::new(),
        Some(base) => base.typed.history().clone()?,
        None => Vec::new(),
    };
    let mut entry = History::default();
    entry.set_created(Some(created));
    entry.set_created_by(Some("towline pack".to_owned()));
    history.push(entry);
    Some(history)
}

fn hand_down(base: Option<&BaseConfig>, document: &mut Value) {
    let from = base
        .and_then(|base| base.raw.get("config"))
        .and_then(Value::as_object);
    let to = document.get_mut("config").and_then(Value::as_object_mut);
    let (Some(from), Some(to)) = (from, to) else {
        return;
    };
    for key in HANDED_DOWN {
        if let Some(value) = from.get(key) {
            to.insert(key.to_owned(), value.clone());
        }
    }
}
