//! W041: the port of a service in appspec, task definition and Dockerfile.

use super::{Note, Notes, Run, Source};
use crate::lint::Code;
use crate::yaml::{self, Limits, Node};

pub(super) fn apply(run: &Run<'_>, dockerfile: Option<&Source>, notes: &mut Notes) {
    let Some(appspec) = run
        .spec
        .file(&["appspec.yaml", "appspec.yml", "appspec.json"])
    else {
        return;
    };
    let limits = Limits {
        aliases: true,
        ..Limits::default()
    };
    // JSON is YAML, so one reader is enough for both, and it knows the places.
    let Ok(root) = yaml::read(&appspec.text, limits) else {
        return;
    };
    let task = run.spec.file(&["taskdef.json"]);
    let task = task
        .as_ref()
        .and_then(|source| yaml::read(&source.text, limits).ok());
    for (container, port) in services(&root) {
        let Some(wanted) = port.as_str() else {
            continue;
        };
        let mapped = task
            .as_ref()
            .map(|task| mapped(task, container))
            .unwrap_or_default();
        let exposed = dockerfile.map(exposed).unwrap_or_default();
        let (there, where_) = if !mapped.is_empty() {
            (mapped, "taskdef.json maps")
        } else if task.is_none() && !exposed.is_empty() {
            (exposed, "the Dockerfile exposes")
        } else {
            continue;
        };
        if there.iter().any(|known| known == wanted) {
            continue;
        }
        let note = Note::new(
            Code::W041,
            port.range.start..port.range.start + wanted.len(),
            format!(
                "The load balancer sends traffic to port {wanted}, but {where_} {}, so the deployment fails.",
                there.join(", ")
            ),
            "Use the same port in the appspec, the task definition and the Dockerfile.",
        );
        notes.add_elsewhere(&appspec, note);
    }
}

/// The container and port of each load balancer in an appspec.
fn services(root: &Node) -> Vec<(&str, &Node)> {
    let resources = root
        .get("Resources")
        .and_then(Node::as_sequence)
        .unwrap_or_default();
    let mut found = Vec::new();
    for (_, resource) in resources.iter().filter_map(Node::as_mapping).flatten() {
        let info = resource
            .get("Properties")
            .and_then(|properties| properties.get("LoadBalancerInfo"));
        let name = info
            .and_then(|info| info.get("ContainerName"))
            .and_then(Node::as_str);
        if let (Some(name), Some(port)) = (name, info.and_then(|info| info.get("ContainerPort"))) {
            found.push((name, port));
        }
    }
    found
}

/// The ports that a task definition maps for a container.
fn mapped(task: &Node, container: &str) -> Vec<String> {
    let containers = task
        .get("containerDefinitions")
        .and_then(Node::as_sequence)
        .unwrap_or_default();
    containers
        .iter()
        .filter(|found| found.get("name").and_then(Node::as_str) == Some(container))
        .filter_map(|found| found.get("portMappings").and_then(Node::as_sequence))
        .flatten()
        .filter_map(|mapping| mapping.get("containerPort").and_then(Node::as_str))
        .map(str::to_owned)
        .collect()
}

/// The ports that a Dockerfile exposes.
fn exposed(dockerfile: &Source) -> Vec<String> {
    let mut ports = Vec::new();
    for line in dockerfile.text.lines() {
        let mut words = line.split_whitespace();
        if words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("expose"))
        {
            ports.extend(words.map(|port| port.split('/').next().unwrap_or(port).to_owned()));
        }
    }
    let is_constant = ports
        .iter()
        .all(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if is_constant { ports } else { Vec::new() }
}
