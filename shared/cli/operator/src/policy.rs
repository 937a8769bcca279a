//! IAM policies as AWS prints them: which resources an action is allowed on.

use serde_json::Value;

/// A policy, or several that apply together.
#[derive(Debug, Default)]
pub struct Policy {
    pub statements: Vec<Value>,
}

impl Policy {
    pub fn read(document: &Value) -> Self {
        let mut policy = Self::default();
        policy.take(document);
        policy
    }

    /// Adds a policy document, as JSON or as JSON in a text.
    pub fn take(&mut self, document: &Value) {
        let parsed = document
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        let document: &Value = parsed.as_ref().unwrap_or(document);
        match &document["Statement"] {
            Value::Array(list) => self.statements.extend(list.iter().cloned()),
            Value::Object(one) => self.statements.push(Value::Object(one.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Whether an action on a resource is allowed and not denied. Conditions count as met.
    pub fn allows(&self, action: &str, resource: &str) -> bool {
        let decides = |effect: &str| {
            self.of(effect, action).any(|statement| {
                let resources = texts(&statement["Resource"]);
                // A policy on a resource names no resource: it applies to its own.
                resources.is_empty() || resources.iter().any(|pattern| fits(pattern, resource))
            })
        };
        decides("Allow") && !decides("Deny")
    }

    /// The resources that an action is allowed on, as written.
    pub fn resources_of(&self, action: &str) -> Vec<String> {
        let statements = self.of("Allow", action);
        let mut all: Vec<String> = statements.flat_map(|it| texts(&it["Resource"])).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether the policy of a resource allows a service to do something to it.
    pub fn lets_service(&self, service: &str, action: &str) -> bool {
        let of_service = |statement: &&Value| {
            statement["Principal"] == "*"
                || texts(&statement["Principal"]["Service"])
                    .iter()
                    .any(|name| name == service)
        };
        self.of("Allow", action).any(|it| of_service(&it))
            && !self
                .of("Deny", action)
                // A denial with a condition, such as for requests without encryption, does not deny
                // everything.
                .any(|it| it["Condition"].is_null() && of_service(&it))
    }

    fn of<'a>(&'a self, effect: &'a str, action: &'a str) -> impl Iterator<Item = &'a Value> {
        self.statements.iter().filter(move |statement| {
            let named = texts(&statement["Action"]);
            let action = action.to_ascii_lowercase();
            statement["Effect"] == effect
                && named
                    .iter()
                    .any(|pattern| fits(&pattern.to_ascii_lowercase(), &action))
        })
    }
}

/// One text or a list of texts.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list
            .iter()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// Whether a pattern with `*` and `?` matches the whole text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // The position of the last star, and how much of the text it has matched.
    let (mut at, mut star, mut taken) = (0, None, 0);
    let mut read = 0;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some(at);
                taken = read;
                at += 1;
            }
            Some(&one) if one == '?' || one == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some(back) = star else {
                    return false;
                };
                taken += 1;
                (at, read) = (back + 1, taken);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_fits_the_whole_text() {
        let check =
            |pattern, text, expected| assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        check("prod", "prod", true);
        check("prod", "prod-1", false);
        check("prod*", "prod-1", true);
        check("*", "", true);
        check("a*b*c", "a1b2b3c", true);
        check("a*b*c", "a1b2b3", false);
        check("v?", "v1", true);
        check("v?", "v", false);
        check("ecr:*", "ecr:putimage", true);
    }

    #[test]
    fn a_deny_wins_and_a_wider_right_is_seen() {
        let mut policy = Policy::default();
        policy.take(&json!({"Statement": [
            {"Effect": "Allow", "Action": ["ecr:Put*"], "Resource": ["arn:a", "arn:b*"]},
            {"Effect": "Deny", "Action": "ecr:PutImage", "Resource": "arn:bad"},
        ]}));
        policy.take(&json!(r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "ecr:BatchGetImage"}}"#));
        assert!(policy.allows("ecr:PutImage", "arn:a"));
        assert!(!policy.allows("ecr:PutImage", "arn:bad"));
        assert!(!policy.allows("ecr:PutImage", "arn:c"));
        assert_eq!(policy.resources_of("ecr:PutImage"), ["arn:a", "arn:b*"]);
        assert!(policy.lets_service("codebuild.amazonaws.com", "ecr:BatchGetImage"));
        assert!(!policy.lets_service("lambda.amazonaws.com", "ecr:BatchGetImage"));
    }
}
