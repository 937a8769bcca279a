//! What a person may see and act on: everything, or only the repositories they are confined to.

use towline_domain::person::Person;
use towline_state::{Confined, Context, HandlerError};

/// A person's view of the store.
pub(crate) struct Sight<'a> {
    context: Context<'a>,
    part: Option<Confined<'a>>,
}

impl<'a> Sight<'a> {
    pub(crate) async fn of(context: Context<'a>, person: &Person) -> Result<Self, HandlerError> {
        let part = match person.only.as_slice() {
            [] => None,
            only => Some(Confined::to(context, only).await?),
        };
        Ok(Self { context, part })
    }

    /// Everything that the person may see. All else is as if it did not exist.
    pub(crate) fn context(&self) -> Context<'_> {
        match &self.part {
            Some(part) => Context {
                store: part,
                ..self.context
            },
            None => self.context,
        }
    }
}
