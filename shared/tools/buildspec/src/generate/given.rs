//! Uses the repository's own buildspec, from the definition or a file.

use super::names::refuse_unless_free;
use super::{Common, Extras, GenerateError, outputs, print};
use crate::model::Buildspec;

/// The unchanged text if the definition adds nothing; otherwise the buildspec is printed again, with the
/// definition's variables, secrets and outputs.
///
/// A variable of the definition overrides one of the buildspec, as it would if it were passed to StartBuild.
pub(super) fn buildspec(
    common: &Common,
    extras: &Extras,
    text: &str,
) -> Result<String, GenerateError> {
    refuse_settings(common, extras)?;
    let (mut spec, _) = Buildspec::read(text)?;
    if common.variables.is_empty() && extras.secrets.is_empty() && extras.outputs.is_empty() {
        return Ok(text.to_owned());
    }
    inject(&mut spec, &common.variables)?;
    refuse_unless_free(&extras.secrets, &spec.env.variables)?;
    let own =
        |(name, _): &(String, String)| extras.secrets.iter().all(|(injected, _)| injected != name);
    spec.env.parameter_store.retain(own);
    spec.env.secrets_manager.retain(own);
    extras.add_to(&mut spec, common);
    outputs::add_to_given(&mut spec, &extras.outputs)?;
    print(&spec)
}

fn refuse_settings(common: &Common, extras: &Extras) -> Result<(), GenerateError> {
    let settings = [
        ("runtime", !common.runtime_versions.is_empty()),
        ("test", !common.test.is_empty()),
        ("context", common.context != "."),
        ("reports", !extras.reports.is_empty()),
        ("cache", !extras.cache.is_empty()),
    ];
    match settings.into_iter().find(|(_, is_set)| *is_set) {
        Some((setting, _)) => Err(GenerateError::NotWithGiven { setting }),
        None => Ok(()),
    }
}

fn inject(spec: &mut Buildspec, variables: &[(String, String)]) -> Result<(), GenerateError> {
    for (name, value) in variables {
        let is_secret = spec
            .env
            .parameter_store
            .iter()
            .chain(&spec.env.secrets_manager)
            .any(|(known, _)| known == name);
        if is_secret {
            return Err(GenerateError::Secret { name: name.clone() });
        }
        match spec
            .env
            .variables
            .iter_mut()
            .find(|(known, _)| known == name)
        {
            Some((_, known)) => known.clone_from(value),
            None => spec.env.variables.push((name.clone(), value.clone())),
        }
    }
    Ok(())
}
