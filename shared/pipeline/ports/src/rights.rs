//! What a build may do in the registry: only what its variables tell it to do.

use towline_domain::definition::LAYER_CACHES;
use towline_domain::names::{ImageRepository, RepositoryId, Tag};

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
    /// The rights of a build with these variables, whose images are in `images`.
    #[must_use]
    pub fn of(
        repository: RepositoryId,
        images: &ImageRepository,
        environment: &[(String, String)],
    ) -> Self {
        let words = |name| variable(environment, name).split_whitespace();
        let tags = words("IMAGE_TAGS").filter_map(|tag| tag.parse().ok());
        let own = (images.clone(), tags.collect());
        let kept = words("CACHE_TO").filter_map(place);
        let kept = kept.map(|(repository, tag)| (repository, vec![tag]));
        let read = words("CACHE_FROM").filter_map(place);
        Self {
            repository,
            pushes: std::iter::once(own).chain(kept).collect(),
            layers: read.map(|(repository, _)| repository).collect(),
        }
    }

    /// Why the build may not push there; none if it may. Blobs and manifests without a tag have no effect
    /// until a tag names them.
    #[must_use]
    pub fn objection_to_push(
        &self,
        repository: &ImageRepository,
        tag: Option<&Tag>,
    ) -> Option<String> {
        let own = self.pushes.iter();
        let Some((_, tags)) = own.clone().find(|(known, _)| known == repository) else {
            let own: Vec<&str> = own.map(|(known, _)| known.as_str()).collect();
            let own = own.join(" and ");
            return Some(format!("this build may push to {own}, not to {repository}"));
        };
        let tag = tag.filter(|tag| !tags.contains(tag))?;
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let tags = tags.join(", ");
        Some(format!(
            "this build may push the tags {tags} to {repository}, not {tag}; a component's `build.tags` lists what its builds push, and promotions move the tags of stages"
        ))
    }

    /// Whether the build may pull from a repository; none if that depends on who owns the repository.
    #[must_use]
    pub fn may_pull(&self, repository: &ImageRepository) -> Option<bool> {
        let own = self.pushes.iter().map(|(known, _)| known);
        if own.chain(&self.layers).any(|known| known == repository) {
            return Some(true);
        }
        let is_cache = repository.as_str().starts_with(LAYER_CACHES);
        is_cache.then_some(false)
    }
}

/// The value of a variable; the last of a name counts.
fn variable<'a>(environment: &'a [(String, String)], wanted: &str) -> &'a str {
    let mut all = environment.iter().rev();
    let found = all.find(|(name, _)| name == wanted);
    found.map_or("", |(_, value)| value)
}

/// `repository:tag`
fn place(text: &str) -> Option<(ImageRepository, Tag)> {
    let (repository, tag) = text.rsplit_once(':')?;
    Some((repository.parse().ok()?, tag.parse().ok()?))
}
