//! What a build may do in the registry: only what its variables tell it to do.

use towline_domain::names::{ImageRepository, RepositoryId, Tag};

use crate::record::Request;

/// The rights of a build in the registry while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The GitHub repository whose images it may pull.
    pub repository: RepositoryId,
    /// Where it may push, and under which tags: those of its attempt, and where it keeps layers.
    pub pushes: Vec<(ImageRepository, Vec<Tag>)>,
    /// Repositories of layers that it may pull.
    pub layers: Vec<ImageRepository>,
}

impl Rights {
    pub(crate) fn of(request: &Request) -> Self {
        let words = |name| variable(request, name).split_whitespace();
        let tags = words("IMAGE_TAGS").filter_map(|tag| tag.parse().ok());
        let own = (request.image_repository.clone(), tags.collect());
        let kept = words("CACHE_TO").filter_map(place);
        let kept = kept.map(|(repository, tag)| (repository, vec![tag]));
        let read = words("CACHE_FROM").filter_map(place);
        Self {
            repository: request.repository_id,
            pushes: std::iter::once(own).chain(kept).collect(),
            layers: read.map(|(repository, _)| repository).collect(),
        }
    }
}

/// The value of a variable; the last of a name counts.
fn variable<'a>(request: &'a Request, wanted: &str) -> &'a str {
    let mut all = request.environment.iter().rev();
    let found = all.find(|(name, _)| name == wanted);
    found.map_or("", |(_, value)| value)
}

/// `repository:tag`
fn place(text: &str) -> Option<(ImageRepository, Tag)> {
    let (repository, tag) = text.rsplit_once(':')?;
    Some((repository.parse().ok()?, tag.parse().ok()?))
}
