//! What a cluster says of pods, jobs and volumes that do not come or do not stay.

use super::Known;

pub(super) const KNOWN: [Known; 17] = [
    Known {
        words: &[
            "imagepullbackoff",
            "errimagepull",
            "invalidimagename",
            "errimageneverpull",
            "cannot be pulled",
        ],
        cause: "The node cannot get a container image: its name is wrong, the registry refuses, or it cannot be reached.",
        fix: "Correct the image in Toygres' configuration, or give the namespace a pull secret for its registry, then try again.",
    },
    Known {
        words: &["init container", "the agent could not be put in place", "the agent could not be started"],
        cause: "The container that brings the agent failed, so the job itself never began.",
        fix: "Look whether the Toygres image in the configuration is the one of this server's version, then try again.",
    },
    Known {
        words: &["exceeded quota", "waits for quota"],
        cause: "The namespace's quota does not allow another pod or volume of this size.",
        fix: "Delete what nobody needs there, or have the quota raised (kubectl describe resourcequota), then try again.",
    },
    Known {
        words: &["failed quota", "must specify", "asks for more than"],
        cause: "The namespace's quota counts something that the pod does not say of itself.",
        fix: "Add what is named to the resources of every container in the template, or give the namespace a LimitRange with defaults, then try again.",
    },
    Known {
        words: &[
            "violates podsecurity",
            "admission webhook",
            "does not admit the pod",
            "does not take the server's pod",
        ],
        cause: "A rule of the cluster refuses the pod before it is made: Pod Security, or a policy of an admission webhook.",
        fix: "Compare the template with the rule that is named. What Toygres makes by itself passes Pod Security restricted.",
    },
    Known {
        words: &["all data go as soon as"],
        cause: "The claim of the instance's volume was deleted. The cluster keeps the volume only as long as the server runs.",
        fix: "Back it up now, restore the image into another instance, then delete this one.",
    },
    Known {
        words: &["volume is gone"],
        cause: "The volume of the instance was deleted, and its data with it.",
        fix: "Restore an image into another instance and delete this one.",
    },
    Known {
        words: &[
            "unbound immediate persistentvolumeclaim",
            "persistentvolumeclaim is not bound",
            "waitforfirstconsumer",
            "provisioningfailed",
            "storageclass",
            "waits for its volume",
        ],
        cause: "The volume is not there yet: no storage class makes it, or the one that should cannot.",
        fix: "Look at the claim (kubectl describe pvc) and whether its storage class is there (kubectl get storageclass).",
    },
    Known {
        words: &["multi-attach", "failedattachvolume", "failedmount"],
        cause: "The volume cannot be attached to the node, often because another node still holds it.",
        fix: "Wait some minutes: it is let go when the old pod is gone for good. If a node died, delete its pod.",
    },
    Known {
        words: &["unschedulable", "nodes are available", "failedscheduling", "waits for a node"],
        cause: "No node has room for the pod, or none that its rules allow.",
        fix: "Add a node, free memory or CPU, or lower what the template asks for; it goes on by itself then.",
    },
    Known {
        words: &["oomkilled", "ran out of memory", "more memory than its limit"],
        cause: "The container used more memory than its limit and was killed.",
        fix: "Raise the memory limit in the template of the job or the server, then try again.",
    },
    Known {
        words: &["evicted", "higher priority", "is being drained", "ran short of something"],
        cause: "The node threw the pod out: it ran short of disk or memory, or something more important needed the room.",
        fix: "Look at the node's conditions (kubectl describe node). Trying again may land on another node.",
    },
    Known {
        words: &["deadlineexceeded", "took longer than"],
        cause: "The job took longer than its step may take.",
        fix: "Look into its log for where the time went: a slow store, a lock in the source, a node without CPU.",
    },
    Known {
        words: &["deleted by hand", "removed by hand", "deleted while it worked", "its pod was deleted"],
        cause: "Somebody or something deleted the pod or the job while it worked.",
        fix: "Find out who (the cluster's audit, a clean-up of old jobs), then try again.",
    },
    Known {
        words: &["kubectl delete node", "server's node", "stopped answering", "its node", "nodelost"],
        cause: "The node that it ran on is gone or does not answer.",
        fix: "Look at the nodes (kubectl get nodes), then try again.",
    },
    Known {
        words: &["waits for its service account"],
        cause: "The service account that jobs run as is not there.",
        fix: "Make it (it is part of deploy/), or name another one in Toygres' configuration; the job begins by itself then.",
    },
    Known {
        words: &["forbidden: user", "is forbidden"],
        cause: "The service account of Toygres may not do this in the cluster.",
        fix: "Apply the roles that come with this version (deploy/), then try again.",
    },
];

#[cfg(test)]
mod tests {
    use super::super::is_told;

    #[test]
    fn sentences_of_a_cluster_are_told() {
        for (error, cause, fix) in [
            (
                "Back-off pulling image \"registry.example.com/toygres:1\": ErrImagePull: not found",
                "container image",
                "pull secret",
            ),
            (
                "The image toygres:2 of the pod t-1-x cannot be pulled (ImagePullBackOff: not found). Check its name and its registry; pull secrets go into backup-job.yaml.",
                "container image",
                "pull secret",
            ),
            (
                "The image postgres:99 cannot be had: ErrImagePull: not found. Mend its name in TOYGRES_POSTGRES_IMAGES.",
                "container image",
                "pull secret",
            ),
            (
                "The agent could not be put in place: the container agent of the pod t-1-x ended with code 1: cp: not found.",
                "brings the agent",
                "Toygres image",
            ),
            (
                "The job t-1 waits for quota: exceeded quota: compute. It begins when something else ends, or when the quota is raised.",
                "quota",
                "raised",
            ),
            (
                "The cluster does not admit the pod of the job t-1: pods \"t-1-x\" is forbidden: violates PodSecurity \"restricted:latest\". Change the job's template.",
                "Pod Security",
                "template",
            ),
            (
                "The cluster does not take the server's pod: pods \"orders-0\" is forbidden: failed quota: compute: must specify limits.memory for: postgres.",
                "does not say",
                "LimitRange",
            ),
            (
                "The server's volume is gone: there is no PersistentVolumeClaim orders. Whoever deleted it deleted the data.",
                "was deleted",
                "another instance",
            ),
            (
                "The job t-1 waits for its service account: serviceaccount \"toygres-job\" not found. Make it, or name another one.",
                "not there",
                "deploy/",
            ),
            (
                "The pod t-1-x waits for its volume: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
                "volume is not there",
                "describe pvc",
            ),
            (
                "The pod t-1-x waits for a node: 0/1 nodes are available: 1 Insufficient memory.",
                "No node has room",
                "Add a node",
            ),
            (
                "The pod t-1-x ran out of memory and was killed: it may use 512Mi. Raise resources.limits.memory in backup-job.yaml.",
                "more memory",
                "memory limit",
            ),
            (
                "The pod t-1-x was evicted from the node n1: low on disk. If this happens again, set larger requests in backup-job.yaml, so that it gets a node with more room.",
                "threw the pod out",
                "describe node",
            ),
            (
                "The job t-1 took longer than the 600 s that its step gives it, and was ended.",
                "longer than its step",
                "log",
            ),
            (
                "The pod t-1-x was deleted while it worked: by hand, or with its node n1.",
                "deleted the pod",
                "try again",
            ),
            (
                "The pod of the job t-1 is gone: deleted by hand, or with its node (BackoffLimitExceeded).",
                "deleted the pod",
                "try again",
            ),
            (
                "The node n1 does not answer: the pod t-1-x was to end and nobody says that it did. If the node is gone for good, delete it: kubectl delete node n1",
                "node",
                "get nodes",
            ),
            ("The init container agent ended with exit code 127", "brings the agent", "Toygres image"),
            (
                "pods \"t-1-runbackup-1\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
                "Pod Security",
                "template",
            ),
            (
                "pods \"t-1\" is forbidden: exceeded quota: compute, requested: memory=512Mi, used: memory=4Gi, limited: memory=4Gi",
                "quota",
                "raised",
            ),
            (
                "Unschedulable: 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
                "volume is not there",
                "describe pvc",
            ),
            (
                "0/3 nodes are available: 3 Insufficient memory. (Unschedulable)",
                "No node has room",
                "Add a node",
            ),
            ("The container was killed: OOMKilled (limit 512Mi)", "more memory", "memory limit"),
            (
                "The pod was Evicted: The node was low on resource: ephemeral-storage.",
                "threw the pod out",
                "describe node",
            ),
            (
                "DeadlineExceeded: Job was active longer than specified deadline",
                "longer than its step",
                "log",
            ),
            ("The pod was deleted by hand while it worked.", "deleted the pod", "try again"),
            ("The job is gone: it was removed by hand, or its machine was.", "deleted the pod", "try again"),
            (
                "Multi-Attach error for volume \"pvc-1\": Volume is already used by pod(s) orders-0",
                "attached",
                "Wait",
            ),
            (
                "jobs.batch is forbidden: User \"system:serviceaccount:toygres-system:toygres\" cannot create resource \"jobs\"",
                "service account",
                "roles",
            ),
        ] {
            is_told(error, cause, fix);
        }
    }
}
