//! Answers questions about images: those of a component, and the details of one.

use towline_domain::image::Image;
use towline_domain::names::{ComponentName, GitRef, ImageRepository, RepositoryName, Tag};
use towline_ports::Query as StoreQuery;
use towline_state::keys;
use towline_state::records::{ImagePointer, ImageTag, TagNow};
use towline_state::{Context, Read};

use super::answers::{Answer, ImageAnswer, ImageLine, Live, TagState};
use super::lookup::{self, Found};
use super::query::{self, Tags};
use super::stages::{live_in, live_lines, stages_of};
use super::words::limited;
use super::{ChatError, refused};

/// A component's images and tags, newest first.
pub(super) async fn tags(context: Context<'_>, query: Tags) -> Result<Answer, ChatError> {
    let found = lookup::component(context, &query.component, query.repository.as_ref()).await?;
    let git_ref = query.branch.map(GitRef::Branch);
    let partition = keys::images(found.repository.id, &query.component, git_ref.as_ref());
    let list = StoreQuery::all(partition)
        .newest_first()
        .limit(limited(query.limit));
    let listed = context.store.query(&list).await?;
    let stages = stages_of(context, &found).await?;
    let rules = found.definition.stages.iter();
    let stage_tags: Vec<&Tag> = rules.flat_map(|rule| &rule.tags).collect();
    let mut lines = Vec::new();
    for item in listed.items {
        let pointer = Read::<ImagePointer>::of(&item)?.value;
        let image = lookup::image(context, &pointer.repository, &pointer.digest).await?;
        // If two processes recorded the image at the same time, one of them left a row with another
        // time.
        let Some(image) = image.filter(|image| item.key.sort.starts_with(&keys::moment(image.at)))
        else {
            continue;
        };
        let own = image.tags.iter().filter(|tag| !stage_tags.contains(tag));
        let built = image.built.as_ref();
        lines.push(ImageLine {
            tags: own.cloned().collect(),
            commit: built.map(|built| built.commit.clone()),
            git_ref: built.map(|built| built.git_ref.clone()),
            build: built.map(|built| built.build_number),
            at: image.at,
            stages: live_in(&stages, &image.digest),
            digest: image.digest,
        });
    }
    Ok(Answer::Tags {
        component: query.component,
        images: lines,
    })
}

/// Everything known about the images that a reference matches.
pub(super) async fn image(context: Context<'_>, query: query::Image) -> Result<Answer, ChatError> {
    let repository = query.repository.as_ref();
    let of = match &query.component {
        Some(component) => Some(repository_of(context, component, repository).await?),
        None => None,
    };
    let mut images = Vec::new();
    for image in lookup::images(context, &query.image, of.as_ref(), repository).await? {
        images.push(answer(context, image).await?);
    }
    Ok(Answer::Image { images })
}

async fn repository_of(
    context: Context<'_>,
    component: &ComponentName,
    repository: Option<&RepositoryName>,
) -> Result<ImageRepository, ChatError> {
    let found = lookup::component(context, component, repository).await?;
    match found.definition.component(component) {
        Some(component) => Ok(component.repository.clone()),
        None => refused(found.gone()),
    }
}

async fn answer(context: Context<'_>, image: Image) -> Result<ImageAnswer, ChatError> {
    let mut tags = Vec::new();
    for tag in image.tags.iter().chain(&more_tags(context, &image).await?) {
        tags.push(state_of(context, &image, tag).await?);
    }
    let live = live_of(context, &image).await?;
    Ok(ImageAnswer {
        repository: image.repository,
        digest: image.digest,
        media_type: image.media_type,
        size: image.size,
        platforms: image.platforms,
        at: image.at,
        built: image.built,
        tags,
        live,
    })
}

/// The tags for which the image's item has no space.
async fn more_tags(context: Context<'_>, image: &Image) -> Result<Vec<Tag>, ChatError> {
    if !image.more_tags {
        return Ok(Vec::new());
    }
    let rows = StoreQuery::all(keys::image_tags(&image.repository, &image.digest));
    let rows = context.list::<ImageTag>(&rows).await?;
    Ok(rows.into_iter().map(|row| row.tag).collect())
}

async fn state_of(context: Context<'_>, image: &Image, tag: &Tag) -> Result<TagState, ChatError> {
    let now = context
        .read::<TagNow>(&keys::tag(&image.repository, tag))
        .await?;
    let moved = now.map(|now| now.value.last_move());
    Ok(TagState {
        tag: tag.clone(),
        current: moved.as_ref().is_some_and(|moved| moved.to == image.digest),
        moved,
    })
}

/// The stages where the image is live.
async fn live_of(context: Context<'_>, image: &Image) -> Result<Vec<Live>, ChatError> {
    let Some(claim) = lookup::owner(context, &image.repository).await? else {
        return Ok(Vec::new());
    };
    let all = lookup::repositories(context).await?;
    let Some(repository) = all.into_iter().find(|known| known.id == claim.repository) else {
        return Ok(Vec::new());
    };
    let Some(definition) = lookup::definition(context, &repository).await? else {
        return Ok(Vec::new());
    };
    let found = Found {
        repository,
        definition,
        component: claim.component,
    };
    let is_it = |line: &Live| {
        let live = line.image.as_ref();
        live.is_some_and(|live| live.digest == image.digest)
    };
    let lines = live_lines(context, &found, None).await?;
    Ok(lines.into_iter().filter(is_it).collect())
}
