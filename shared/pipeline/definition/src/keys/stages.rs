//! The keys of a stage, its gates and its deployment.

use super::mapping;
#[cfg(feature = "schema")]
use crate::limits;
#[cfg(feature = "schema")]
use crate::schema::types::{
    Approvals, Causes, ConcurrencyWord, DriftWord, Duration, Findings, Label, Named, ParameterName,
    PromoteWord, Scalar, SelfWord, StageName, Tags, Text, Texts, UnitWord,
};

mapping! {
    /// Where images can be.
    Stage {
        /// The name of the stage.
        name: StageName,
        /// Where its images come from: build, or another stage.
        from: Label,
        /// auto: promote each image as soon as it arrives at the origin. manual: promote on request.
        #[schemars(extend("default" = "auto"))]
        promote: Option<PromoteWord>,
        /// queue: one promotion after the other. supersede: the newest waiting promotion replaces older ones.
        /// parallel: each promotion as soon as its gates pass.
        #[schemars(extend("default" = "queue"))]
        concurrency: Option<ConcurrencyWord>,
        /// What must pass before a promotion, one gate per item.
        gates: Option<Vec<Gate>>,
        /// Tags of the image that is live in the stage. No two stages share one. Default: the name of the stage.
        tag: Option<Tags>,
        /// What happens when one of these tags is moved outside Towline. restore: it is put back on the live image.
        /// hold: the stage is held.
        #[schemars(extend("default" = "restore"))]
        drift: Option<DriftWord>,
        /// What runs before the promotion. Not available yet.
        before: Option<Before>,
        /// A registry the image is copied to. Not available yet.
        copy_to: Option<Text>,
        /// How the image is deployed.
        deploy: Option<Deploy>,
        /// How the deployment is checked. Not available yet.
        verify: Option<Verify>,
        /// When the stage returns to the previous image.
        rollback: Option<Rollback>,
        /// component: components move one by one. pipeline: all move together; not available yet.
        #[schemars(extend("default" = "component"))]
        unit: Option<UnitWord>,
    }
}

mapping! {
    /// One thing that must pass before a promotion.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    Gate {
        /// The scan of the image found few enough problems. Not available yet.
        scan: Option<Scan>,
        /// How long the image must have been live in the stage before. Not available yet.
        soak: Option<Duration>,
        /// The promotion happens within certain hours. Not available yet.
        window: Option<Window>,
        /// People approved exactly this image.
        approval: Option<Approval>,
    }
}

mapping! {
    /// The scan of the image found few enough problems. Not available yet.
    Scan {
        /// Allowed findings of severity critical.
        critical: Option<Findings>,
        /// Allowed findings of severity high.
        high: Option<Findings>,
        /// Allowed findings of severity medium.
        medium: Option<Findings>,
        /// Allowed findings of severity low.
        low: Option<Findings>,
        /// Findings that do not count, by id.
        allow: Option<Texts>,
        /// How long to wait for the result.
        wait: Option<Duration>,
    }
}

mapping! {
    /// The promotion happens within certain hours. Not available yet.
    Window {
        /// When promotions may happen, such as "Mon-Fri 08:00-16:00".
        allow: Option<Texts>,
        /// When promotions may not happen.
        deny: Option<Texts>,
        /// The time zone, such as Europe/Berlin.
        tz: Option<Text>,
    }
}

mapping! {
    /// People approved exactly this image.
    Approval {
        /// Groups whose members may approve. Default: every known person.
        groups: Option<Texts>,
        /// How many different people must approve.
        #[schemars(extend("default" = 1))]
        min: Option<Approvals>,
        /// Whether the authors of a commit and the person who pushed it may approve it.
        #[schemars(extend("default" = "deny"))]
        allow_self as "self": Option<SelfWord>,
        /// How long the promotion waits for approval. Default: no limit.
        expires: Option<Duration>,
        /// Whether a newer image replaces one that still waits.
        #[schemars(extend("default" = true))]
        supersede: Option<bool>,
    }
}

mapping! {
    /// What runs before the promotion. Not available yet.
    Before {
        /// An ECS task, such as a migration.
        ecs_task: Option<EcsTask>,
    }
}

mapping! {
    /// An ECS task, such as a migration.
    EcsTask {
        /// The ECS cluster.
        cluster: Option<Text>,
        /// The task definition.
        task: Option<Text>,
    }
}

mapping! {
    /// How the image is deployed. Only event is available yet.
    Deploy {
        /// The event Image Promoted on Towline's event bus, for your own deployer.
        event: Option<Event>,
        /// An ECS service. Not available yet.
        ecs: Option<Ecs>,
        /// A parameter of a CloudFormation stack. Not available yet.
        cloudformation: Option<CloudFormation>,
        /// An alias of a Lambda function. Not available yet.
        lambda: Option<Lambda>,
    }
}

mapping! {
    /// The event Image Promoted on Towline's event bus, for your own deployer (image-promoted.schema.json).
    Event {
        /// What the event contains besides the image. Values may contain {sha}, {sha7}, {build}, {build_uuid},
        /// {branch_slug}, {env.NAME} and {output.NAME.KEY} of the build that made the image. A parameter that
        /// reads an output the component does not have is left out.
        #[schemars(extend("maxProperties" = limits::PARAMETERS))]
        parameters: Option<Named<ParameterName, Scalar>>,
    }
}

mapping! {
    /// An ECS service. Not available yet.
    Ecs {
        /// The ECS cluster.
        cluster: Option<Text>,
        /// The ECS service.
        service: Option<Text>,
        /// The container that runs the image.
        container: Option<Text>,
    }
}

mapping! {
    /// A parameter of a CloudFormation stack. Not available yet.
    CloudFormation {
        /// The stack.
        stack: Option<Text>,
        /// The parameter that takes the image tag.
        parameter: Option<Text>,
    }
}

mapping! {
    /// An alias of a Lambda function. Not available yet.
    Lambda {
        /// The function.
        function: Option<Text>,
        /// The alias.
        alias: Option<Text>,
    }
}

mapping! {
    /// How the deployment is checked. Not available yet.
    Verify {
        /// Commands that must succeed.
        run: Option<Texts>,
        /// How long they may run.
        timeout: Option<Duration>,
    }
}

mapping! {
    /// When the stage returns to the previous image.
    Rollback {
        /// What causes a rollback. Not available yet.
        on: Option<Causes>,
        /// Whether a rollback pauses automatic promotions to the stage.
        #[schemars(extend("default" = true))]
        hold: Option<bool>,
    }
}
