//! The people in the list, in JSON, and how each is identified: by token or by AWS identity.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use towline_domain::person::Person;

/// A person and their credentials. The token itself is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// SHA-256 of their token, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
    /// The IAM user or role they call with, or their session of a role of IAM Identity Center.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

/// All people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct People(pub Vec<Known>);

/// The stored hash of a token.
#[must_use]
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.trim()))
}

impl People {
    /// Reads the list.
    ///
    /// # Errors
    /// When it is no JSON list of people; the error never quotes what it holds.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeopleError> {
        serde_json::from_slice(bytes).map_err(|error| PeopleError {
            line: error.line(),
            column: error.column(),
        })
    }

    /// The person with this token. Only hashes are compared, so timing reveals nothing about it.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<&Person> {
        let hash = hash(token);
        self.only(|known| known.token_sha256.as_deref() == Some(hash.as_str()))
    }

    /// The person of an ARN that AWS has verified: the one with exactly this ARN, else the one
    /// whose role the session is of. Two people with the same role are distinguished only by the
    /// ARNs of their sessions, and only if they cannot choose them: see [`is_trustworthy`].
    /// Otherwise the caller is unknown.
    #[must_use]
    pub fn by_arn(&self, caller: &str) -> Option<&Person> {
        self.only(|known| known.arn.as_deref() == Some(caller) && is_trustworthy(caller))
            .or_else(|| {
                let session = Role::of_session(caller)?;
                self.only(|known| {
                    let role = known.arn.as_deref().and_then(Role::of_role);
                    role.as_ref() == Some(&session)
                })
            })
    }

    fn only(&self, fits: impl Fn(&Known) -> bool) -> Option<&Person> {
        let mut found = self.0.iter().filter(|known| fits(known));
        let first = found.next()?;
        found.next().is_none().then_some(&first.person)
    }
}

/// Whether an ARN identifies one person. Anyone who assumes a role chooses the session's name (STS
/// API, `AssumeRole`), except that IAM Identity Center sets it for each user; its roles have a
/// prefix that IAM reserves (IAM Identity Center user guide, "Permission sets").
#[must_use]
pub fn is_trustworthy(arn: &str) -> bool {
    match Role::of_session(arn) {
        Some(role) => role.name.starts_with("AWSReservedSSO_"),
        None => parts(arn, "iam").is_some(),
    }
}

/// Why the list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the people are not a JSON list of {{\"login\", \"groups\", \"token_sha256\"}} (line {line}, column {column})"
)]
pub struct PeopleError {
    line: usize,
    column: usize,
}

/// A role of an account, by its name; the path is not part of a session's ARN (IAM user guide, "IAM
/// identifiers").
#[derive(PartialEq, Eq)]
struct Role<'a> {
    partition: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Role<'a> {
    fn of_session(arn: &'a str) -> Option<Self> {
        let (partition, account, resource) = parts(arn, "sts")?;
        let (name, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
        (!name.is_empty() && !session.is_empty()).then_some(Self {
            partition,
            account,
            name,
        })
    }

    fn of_role(arn: &'a str) -> Option<Self> {
        let (partition, account, resource) = parts(arn, "iam")?;
        let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
        (!name.is_empty()).then_some(Self {
            partition,
            account,
            name,
        })
    }
}

fn parts<'a>(arn: &'a str, service: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts = arn.splitn(6, ':');
    let (start, partition, named) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let good = start == "arn" && named == service && region.is_empty() && !account.is_empty();
    good.then_some((partition, account, resource))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn people() -> People {
        let list = serde_json::json!([
            {"login": "kim", "groups": ["release"], "token_sha256": hash("kim's"), "arn": "arn:aws:iam::111122223333:user/team/kim"},
            {"login": "lee", "emails": ["lee@acme.example"], "arn": "arn:aws:iam::111122223333:role/aws-reserved/sso/Deployers"},
            {"login": "max", "arn": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/max@acme.example"},
            {"login": "eve", "arn": "arn:aws:sts::111122223333:assumed-role/Chosen/max@acme.example"},
            {"login": "ann", "token_sha256": hash("both"), "arn": "arn:aws:iam::111122223333:role/Twice"},
            {"login": "bob", "token_sha256": hash("both"), "arn": "arn:aws:iam::111122223333:role/x/Twice"},
            {"login": "nil", "token_sha256": "", "arn": ""},
        ]);
        People::decode(list.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_person_is_told_by_their_token() {
        let people = people();
        let check = |token: &str, expected: Option<&str>| {
            let found = people.by_token(token).map(|person| person.login.as_str());
            assert_eq!(found, expected, "{token}");
        };
        check("kim's", Some("kim"));
        check("kim's\n", Some("kim"));
        check("both", None);
        check("", None);
        check("unset", None);
    }

    #[test]
    fn a23_a_person_is_told_by_their_identity_in_aws() {
        let people = people();
        let check = |arn: &str, expected: Option<&str>| {
            let found = people.by_arn(arn).map(|person| person.login.as_str());
            assert_eq!(found, expected, "{arn}");
        };
        check("arn:aws:iam::111122223333:user/team/kim", Some("kim"));
        check("arn:aws:iam::111122223333:user/kim", None);
        check(
            "arn:aws:sts::111122223333:assumed-role/Deployers/any",
            Some("lee"),
        );
        check("arn:aws:sts::999922223333:assumed-role/Deployers/any", None);
        check(
            "arn:aws-cn:sts::111122223333:assumed-role/Deployers/any",
            None,
        );
        check("arn:aws:sts::111122223333:assumed-role/Deployers", None);
        check("arn:aws:sts::111122223333:assumed-role/Deployers/", None);
        check(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/max@acme.example",
            Some("max"),
        );
        check(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Shared_1f/eve@acme.example",
            None,
        );
        // Who assumes an ordinary role says themselves what their session is called.
        check(
            "arn:aws:sts::111122223333:assumed-role/Chosen/max@acme.example",
            None,
        );
        check("arn:aws:sts::111122223333:assumed-role/Twice/x", None);
        check("arn:aws:sts::111122223333:federated-user/Deployers", None);
        check("arn:aws:iam::111122223333:root", None);
        check("", None);
    }

    #[test]
    fn what_is_no_list_of_people_is_refused_without_quoting_it() {
        for text in [
            "unset",
            "{}",
            "[{}]",
            "[{\"login\": 1}]",
            "{\"login\": \"secret\"}",
        ] {
            let refused = People::decode(text.as_bytes()).unwrap_err().to_string();
            assert!(
                !refused.contains("secret") && !refused.contains("unset"),
                "{refused}"
            );
        }
        assert_eq!(People::decode(b"[]").unwrap(), People::default());
    }
}
