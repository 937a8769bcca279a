//! Small files that a build leaves for later stages, returned as exported variables of the build.

use super::shell::{enter, inner_path, quote};
use super::{Common, GenerateError, LONGEST_VALUE, make};
use crate::model::{Buildspec, Version};

/// A file that the build leaves for later stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its path, relative to [`Common::context`].
    pub path: String,
    /// Who writes it.
    pub from: OutputFrom,
}

/// Who writes an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputFrom {
    /// A command of the build.
    Build,
    /// A target of the Makefile, by printing it.
    Target(String),
    /// `imagedefinitions.json`, which ECS deployments of CodePipeline read: the image for this container.
    Definitions(String),
    /// `imageDetail.json`, which blue/green deployments of CodePipeline read: the image with its digest.
    Detail,
}

impl Output {
    /// A file that the repository's own commands write.
    #[must_use]
    pub fn given(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            from: OutputFrom::Build,
        }
    }

    /// A file that the build writes itself, or one for deployments of CodePipeline, which is
    /// written from what was pushed.
    #[must_use]
    pub fn of(path: &str, container: &str) -> Self {
        let from = match path {
            "imagedefinitions.json" => OutputFrom::Definitions(container.to_owned()),
            "imageDetail.json" => OutputFrom::Detail,
            _ => OutputFrom::Build,
        };
        Self {
            path: path.to_owned(),
            from,
        }
    }

    /// The same for a build by a Makefile, where a file in the context's own folder is printed by
    /// the target with its name up to the extension (`version.json` by `make version`).
    #[must_use]
    pub fn of_make(path: &str, container: &str) -> Self {
        let output = Self::of(path, container);
        let stem = path.split('.').next();
        match stem.filter(|stem| !stem.is_empty() && !path.contains('/')) {
            Some(stem) if output.from == OutputFrom::Build => Self {
                from: OutputFrom::Target(stem.to_owned()),
                ..output
            },
            Some(_) | None => output,
        }
    }
}

/// The variable that returns the `index`th output.
#[must_use]
pub fn output_variable(index: usize) -> String {
    format!("TOWLINE_OUTPUT_{index}")
}

/// Adds the outputs to a generated buildspec, after the commands of its build phase.
pub(super) fn add_to(
    spec: &mut Buildspec,
    common: &Common,
    outputs: &[Output],
) -> Result<(), GenerateError> {
    let enter = enter(&common.context)?;
    for (index, output) in outputs.iter().enumerate() {
        let path = quote(inner_path(&output.path)?);
        let writer = writer(&output.from)?;
        let commands = &mut spec.phases.build.commands;
        commands.extend(writer.map(|writer| format!("({enter} && {writer} > ./{path})")));
        commands.push(export(&output_variable(index), &enter, &path, &output.path));
    }
    export_all(spec, outputs);
    Ok(())
}

/// Adds the outputs to the repository's own buildspec, which may write them until its very end;
/// after a failed build they are not read.
pub(super) fn add_to_given(spec: &mut Buildspec, outputs: &[Output]) -> Result<(), GenerateError> {
    if outputs.is_empty() {
        return Ok(());
    }
    if spec.version == Version::V0_1 || !spec.phases.post_build.steps.is_empty() {
        return Err(GenerateError::NoOutputs);
    }
    let enter = enter(".")?;
    for (index, output) in outputs.iter().enumerate() {
        let path = quote(inner_path(&output.path)?);
        let export = export(&output_variable(index), &enter, &path, &output.path);
        let guarded = format!(r#"[ "$CODEBUILD_BUILD_SUCCEEDING" != 1 ] || {{ {export}; }}"#);
        spec.phases.post_build.commands.push(guarded);
    }
    export_all(spec, outputs);
    Ok(())
}

fn export_all(spec: &mut Buildspec, outputs: &[Output]) {
    let variables = (0..outputs.len()).map(output_variable);
    spec.env.exported_variables.extend(variables);
}

fn writer(from: &OutputFrom) -> Result<Option<String>, GenerateError> {
    Ok(match from {
        OutputFrom::Build => None,
        OutputFrom::Target(target) => Some(make::run(target)?),
        OutputFrom::Definitions(container) => Some(format!(
            r#"printf '[{{"name":"%s","imageUri":"%s"}}]\n' {} "$ECR_REGISTRY/$IMAGE_REPO:${{IMAGE_WHOLE_TAG:-$IMAGE_TAG}}""#,
            quote(container)
        )),
        OutputFrom::Detail => Some(DETAIL.to_owned()),
    })
}

/// By its digest if Docker knows it, else by the tag that no other build can push. For one platform
/// of several, the index is deployed, which has no digest yet, only a tag.
const DETAIL: &str = concat!(
    r#"printf '{"ImageURI":"%s"}\n' "$ECR_REGISTRY/$IMAGE_REPO"#,
    r#"$(if [ -n "$IMAGE_DIGEST" ] && [ "${IMAGE_WHOLE_TAG:-$IMAGE_TAG}" = "$IMAGE_TAG" ]; "#,
    r#"then echo "@$IMAGE_DIGEST"; else echo ":${IMAGE_WHOLE_TAG:-$IMAGE_TAG}"; fi)""#,
);

/// Line breaks are removed, because it is undocumented whether CodeBuild keeps them in an exported variable.
fn export(variable: &str, enter: &str, path: &str, shown: &str) -> String {
    let missing = quote(&format!("there is no output {shown}"));
    let long = quote(&format!(
        "the output {shown} is longer than {LONGEST_VALUE} bytes"
    ));
    format!(
        r#"if ! {variable}="$({enter} && tr -d '\r\n' < ./{path})"; then echo {missing}; false; elif test "$(printf %s "${variable}" | wc -c)" -gt {LONGEST_VALUE}; then echo {long}; false; else export {variable}; fi"#
    )
}
