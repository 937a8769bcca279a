//! W020, W021: regions and accounts that differ.

use std::ops::Range;

use super::moment::Moment;
use super::{Command, Note, Notes, Spec, environment};
use crate::lint::Code;
use crate::lint::shell::Word;
use crate::lint::value::{is_region, registries};

pub(super) fn called(moment: &Moment<'_>, notes: &mut Notes) {
    let call = moment.call;
    if call.is("aws", &["ecr"])
        && let Some(word) = call.option(&["--region"])
        && let Some(region) = word.text().filter(|text| is_region(text))
    {
        judge(moment.spec, moment.place(&word.range), region, notes);
    }
    for word in &call.words {
        hosts(moment.spec, moment.command, &word.range, notes);
    }
}

/// `REPOSITORY_URI=111122223333.dkr.ecr.eu-west-1.amazonaws.com/x`
pub(super) fn assigned(
    spec: &Spec<'_>,
    command: &Command<'_>,
    _: &str,
    value: &Word,
    notes: &mut Notes,
) {
    hosts(spec, command, &value.range, notes);
}

fn hosts(spec: &Spec<'_>, command: &Command<'_>, word: &Range<usize>, notes: &mut Notes) {
    let text = command.text.get(word.clone()).unwrap_or("");
    for (place, registry) in registries(text) {
        let place = word.start + place.start..word.start + place.end;
        let range = command.alignment.range(&place);
        judge(spec, range.clone(), &registry.region, notes);
        let own = spec.context.account.as_deref().or_else(|| account(spec));
        if let (Some(own), Some(account)) = (own, &registry.account)
            && own != account
        {
            notes.add(spec.source, mismatch(range, "account", account, own));
        }
    }
}

/// Compares a written region or account with the variables or the project.
fn judge(spec: &Spec<'_>, range: Range<usize>, region: &str, notes: &mut Notes) {
    let variables = &spec.reading.spec.env.variables;
    let known: Vec<(&str, &str)> = environment::regions(variables).collect();
    let same = known.iter().find(|(_, value)| *value == region);
    let (consequence, advice) = match (same, known.first(), spec.context.region.as_deref()) {
        (Some((name, _)), _, _) => (
            format!(
                "{region} is hard-coded here and is also the value of {name}; changing only one of them logs in to the wrong region."
            ),
            format!("Use \"${name}\" here too."),
        ),
        (None, Some((name, value)), _) => (
            format!(
                "{region} differs from {name} ({value}); a login for one region is not valid in another."
            ),
            format!("Use \"${name}\" here, or set it to {region}."),
        ),
        (None, None, Some(project)) if project != region => (
            format!("{region} differs from {project}, the region of the project."),
            "Use \"$AWS_DEFAULT_REGION\" here if you mean the region of the build.".to_owned(),
        ),
        (None, None, _) => return,
    };
    notes.add(
        spec.source,
        Note::new(Code::W020, range, consequence, advice),
    );
}

/// The account that the variables of the buildspec name.
pub(super) fn account<'a>(spec: &'a Spec<'_>) -> Option<&'a str> {
    let mut accounts = spec
        .reading
        .spec
        .env
        .variables
        .iter()
        .filter(|(name, value)| {
            name.to_ascii_uppercase().contains("ACCOUNT")
                && value.len() == 12
                && value.bytes().all(|byte| byte.is_ascii_digit())
        });
    let first = accounts.next().map(|(_, value)| value.as_str());
    first.filter(|_| accounts.next().is_none())
}

pub(super) fn mismatch(range: Range<usize>, what: &str, here: &str, there: &str) -> Note {
    Note::new(
        Code::W021,
        range,
        format!(
            "The {what} {here} differs from {there}, where the build logs in, so pushes and pulls are denied."
        ),
        format!("Keep the {what} in one place, such as a variable."),
    )
}
