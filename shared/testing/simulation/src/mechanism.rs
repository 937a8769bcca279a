//! The mechanisms that keep the invariants, each of which a seed can do without.

/// A mechanism that keeps an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// The same token starts the same build.
    Token,
    /// A build whose token may be forgotten is looked for before another is started.
    FindOrStart,
    /// One build is bound to an attempt, once.
    Binding,
    /// Only one writer at a time holds a stage's lease.
    SerialWriter,
    /// A writer that lost the lease cannot finish.
    Fence,
    /// A push is compared with where its ref is now.
    HeadCheck,
    /// Builds whose events were lost are looked up.
    Polling,
    /// The sweep compares the heads of refs, so that a push whose webhook was lost is found.
    Comparison,
    /// What is owed is announced again.
    Announcing,
    /// An older build of the same component ends.
    Supersede,
    /// An approval counts for one promotion.
    ApprovalBinding,
    /// Before its tags are set, a promotion's commit is looked for on the refs.
    CommitCheck,
    /// An accepted push stays owed until it is planned.
    Inbox,
    /// Rows are written before the item that makes them count.
    RowsFirst,
    /// Rows are written at all.
    Rows,
    /// A stage remembers who took part in what was offered since its live image.
    Authors,
    /// Caches are kept apart by the trust in the ref.
    CacheTrust,
    /// A build's password opens the registry for the tags of its attempt, while it runs.
    TagPassword,
    /// Repositories take turns when builds wait for a place.
    Fairness,
    /// What was denied is tried again at once when the service allows it.
    Release,
}

impl Mechanism {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::FindOrStart => "find or start",
            Self::Binding => "binding",
            Self::SerialWriter => "serial writer",
            Self::Fence => "fence",
            Self::HeadCheck => "head check",
            Self::Polling => "polling",
            Self::Comparison => "comparison of heads",
            Self::Announcing => "announcing again",
            Self::Supersede => "supersede",
            Self::ApprovalBinding => "approval binding",
            Self::CommitCheck => "commit check",
            Self::Inbox => "inbox",
            Self::RowsFirst => "rows before head",
            Self::Rows => "rows",
            Self::Authors => "authors since live",
            Self::CacheTrust => "trust of caches",
            Self::TagPassword => "tag password",
            Self::Fairness => "fairness",
            Self::Release => "release of obstacles",
        }
    }
}
