//! The sentences for people's requests, and for why a person or an image is not allowed.

use std::fmt::{self, Display, Formatter};

use crate::offer::Unoffered;
use crate::rights::{Lacking, Right};
use crate::stage::Request;

impl Display for Request {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promote { commit } => write!(text, "promote {}", commit.short()),
            Self::PromoteImage { digest } => write!(text, "promote {}", digest.short()),
            Self::GoBack => text.write_str("roll back"),
            Self::RollBack { commit } => write!(text, "roll back to {}", commit.short()),
            Self::RollBackTo { digest } => write!(text, "roll back to {}", digest.short()),
            Self::Approve => text.write_str("approve"),
            Self::Reject => text.write_str("reject"),
            Self::Hold => text.write_str("hold"),
            Self::Resume => text.write_str("resume"),
        }
    }
}

impl Display for Lacking {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        let right = self.right.word();
        write!(text, "{} does not have the right `{right}`", self.by)?;
        if let Some(change) = &self.loosened_by {
            let change = change.short();
            return write!(
                text,
                " yet; {change} grants it, and takes effect once a promotion that contains it was approved under the old rules"
            );
        }
        match (self.right, self.groups.as_slice()) {
            (Right::Operate, []) => text.write_str("; everyone in a group has it"),
            (Right::Override, []) => text.write_str(
                "; nobody has it, because rights.override names no groups in the default branch's .towline.yml",
            ),
            (Right::Operate | Right::Override, groups) => {
                write!(text, "; these groups have it: {}", groups.join(", "))
            }
        }
    }
}

impl Display for Unoffered {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefinition => {
                text.write_str("the default branch does not have a valid .towline.yml yet")
            }
            Self::OtherComponent => text.write_str(
                "the default branch's .towline.yml has no such component with these images",
            ),
            Self::NotAdmitted(reason) => {
                write!(text, "by the default branch's .towline.yml, {reason}")
            }
            Self::RefDeleted => text.write_str("its ref has been deleted"),
        }
    }
}
