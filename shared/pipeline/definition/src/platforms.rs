//! Reads the platforms of an image, and the CodeBuild image that builds each.

use towline_buildspec::images::{is_for_arm, is_provided};
use towline_domain::definition::Architecture;

use super::limits::PLATFORMS;
use super::reader::{Fields, Report};
use super::scalars::is_image;
use super::words;

/// The CodeBuild image of a build for ARM that names none.
const ARM_IMAGE: &str = "aws/codebuild/amazonlinux-aarch64-standard:3.0";

/// The platforms, if any are written.
pub(super) fn read(report: &mut Report, fields: &Fields<'_>) -> Option<Vec<String>> {
    let expected = "a platform: linux/ and amd64, arm64, arm/v7, arm/v6, 386, ppc64le, s390x, riscv64, mips64le or loong64";
    let single = fields.get("platform");
    let Some(several) = fields.get("platforms") else {
        let platform = report.shaped(&single?, expected, is_platform)?;
        return Some(vec![platform]);
    };
    if single.is_some() {
        report.error_at(
            several.key,
            &several.path,
            "write either `platform` or `platforms`",
        );
    }
    let mut platforms: Vec<String> = Vec::new();
    let items = report.items(&several);
    if items.len() > PLATFORMS {
        report.error(
            &several,
            format!("an image has at most {PLATFORMS} platforms"),
        );
        return None;
    }
    for item in items {
        let Some(platform) = report.shaped(&item, expected, is_platform) else {
            continue;
        };
        if platforms.contains(&platform) {
            report.error(&item, "this platform is listed twice");
        }
        platforms.push(platform);
    }
    if platforms.is_empty() && several.node.as_sequence().is_some() {
        report.error(&several, "list at least one platform");
    }
    (!platforms.is_empty()).then_some(platforms)
}

/// The CodeBuild image for all platforms, if one is written, and those of single platforms.
pub(super) fn images(
    report: &mut Report,
    fields: &Fields<'_>,
    platforms: &[String],
) -> (Option<String>, Vec<(String, String)>) {
    let expected = "the name of a CodeBuild image";
    let several = platforms.len() > 1;
    let Some(place) = fields.get("image") else {
        let arm = platforms
            .iter()
            .filter(|platform| several && is_arm(platform));
        return (
            None,
            arm.map(|platform| (platform.clone(), ARM_IMAGE.to_owned()))
                .collect(),
        );
    };
    if place.node.as_mapping().is_none() {
        let image = report.shaped(&place, expected, is_image);
        if let Some(image) = image.as_deref().filter(|image| is_provided(image)) {
            let runs_here = |platform: &&String| is_arm(platform) == is_for_arm(image);
            if several && let Some(other) = platforms.iter().find(|platform| !runs_here(platform)) {
                report.error(
                    &place,
                    format!(
                        "{image} does not run on {other}; name one for each, as in `image: {{{other}: ...}}`"
                    ),
                );
            }
        }
        return (image, Vec::new());
    }
    let mut images = Vec::new();
    for (key, place) in report.entries(&place) {
        if !platforms.iter().any(|platform| platform == key.key_text()) {
            report.error_at(
                key.span,
                &place.path,
                format!(
                    "the build does not have this platform; its platforms are {}",
                    platforms.join(", ")
                ),
            );
        }
        if let Some(image) = report.shaped(&place, expected, is_image) {
            images.push((key.key_text().to_owned(), image));
        }
    }
    let has = |platform: &&String| images.iter().any(|(known, _)| known == *platform);
    if let Some(platform) = platforms.iter().find(|platform| !has(platform)) {
        report.error(&place, format!("no image for {platform}; add one"));
    }
    (None, images)
}

fn is_arm(platform: &str) -> bool {
    Architecture::of(platform) == Architecture::Arm
}

fn is_platform(text: &str) -> bool {
    words::PLATFORMS.contains(&text)
}
