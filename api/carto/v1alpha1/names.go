package v1alpha1

// Kinds of this group.
const (
	KindWorkload                  = "Workload"
	KindClusterSupplyChain        = "ClusterSupplyChain"
	KindDeliverable               = "Deliverable"
	KindClusterDelivery           = "ClusterDelivery"
	KindRunnable                  = "Runnable"
	KindClusterSourceTemplate     = "ClusterSourceTemplate"
	KindClusterImageTemplate      = "ClusterImageTemplate"
	KindClusterConfigTemplate     = "ClusterConfigTemplate"
	KindClusterDeploymentTemplate = "ClusterDeploymentTemplate"
	KindClusterTemplate           = "ClusterTemplate"
	KindClusterRunTemplate        = "ClusterRunTemplate"
)

// Labels that say for whom an object was stamped, and from what. Those of a workload, of a deliverable and of a
// runnable each stand alone; the others are on every object that a supply chain or a delivery stamps.
const (
	LabelDeliverableName      = "carto.run/deliverable-name"
	LabelDeliverableNamespace = "carto.run/deliverable-namespace"
	LabelDeliveryName         = "carto.run/delivery-name"
	LabelRunnableName         = "carto.run/runnable-name"
	LabelRunTemplateName      = "carto.run/run-template-name"

	LabelWorkloadName      = "carto.run/workload-name"
	LabelWorkloadNamespace = "carto.run/workload-namespace"
	LabelSupplyChainName   = "carto.run/supply-chain-name"
	LabelResourceName      = "carto.run/resource-name"
	LabelTemplateKind      = "carto.run/template-kind"
	LabelTemplateName      = "carto.run/cluster-template-name"
	LabelTemplateLifecycle = "carto.run/template-lifecycle"
)

// Condition types.
const (
	// ConditionReady sums up the conditions beside it.
	ConditionReady = "Ready"
	// ConditionSupplyChainReady : one supply chain matches the workload, and it is ready.
	ConditionSupplyChainReady = "SupplyChainReady"
	// ConditionDeliveryReady : one delivery matches the deliverable, and it is ready.
	ConditionDeliveryReady = "DeliveryReady"
	// ConditionResourcesSubmitted : every resource of the chain was stamped and its outputs read.
	ConditionResourcesSubmitted = "ResourcesSubmitted"
	// ConditionResourcesHealthy : every stamped object is healthy.
	ConditionResourcesHealthy = "ResourcesHealthy"
	// ConditionResourceSubmitted : this resource was stamped and its outputs read.
	ConditionResourceSubmitted = "ResourceSubmitted"
	// ConditionHealthy : the stamped object of this resource is healthy.
	ConditionHealthy = "Healthy"
	// ConditionTemplatesReady : every template that the supply chain or the delivery names exists.
	ConditionTemplatesReady = "TemplatesReady"
	// ConditionRunTemplateReady : the runnable's template exists and a run was stamped from it.
	ConditionRunTemplateReady = "RunTemplateReady"
	// ConditionStampedObjectCondition : the runnable's newest run has succeeded.
	ConditionStampedObjectCondition = "StampedObjectCondition"
)

// Reasons of conditions.
const (
	ReasonReady   = "Ready"
	ReasonUnknown = "Unknown"

	ReasonWorkloadLabelsMissing       = "WorkloadLabelsMissing"
	ReasonSupplyChainNotFound         = "SupplyChainNotFound"
	ReasonMultipleSupplyChainMatches  = "MultipleSupplyChainMatches"
	ReasonDeliverableLabelsMissing    = "DeliverableLabelsMissing"
	ReasonDeliveryNotFound            = "DeliveryNotFound"
	ReasonMultipleDeliveryMatches     = "MultipleDeliveryMatches"
	ReasonTemplatesNotFound           = "TemplatesNotFound"
	ReasonServiceAccountError         = "ServiceAccountError"
	ReasonServiceAccountTokenError    = "ServiceAccountTokenError"
	ReasonResourceRealizerBuilder     = "ResourceRealizerBuilderError"
	ReasonResourceSubmissionComplete  = "ResourceSubmissionComplete"
	ReasonPassThrough                 = "PassThrough"
	ReasonTemplateRetrievalFailure    = "TemplateObjectRetrievalFailure"
	ReasonTemplateStampFailure        = "TemplateStampFailure"
	ReasonTemplateRejected            = "TemplateRejectedByAPIServer"
	ReasonMissingValueAtPath          = "MissingValueAtPath"
	ReasonResolveTemplateOptionsError = "ResolveTemplateOptionsError"
	ReasonTemplateOptionsMatchError   = "TemplateOptionsMatchError"
	ReasonConditionNotMet             = "ConditionNotMet"
	ReasonFailedConditionMet          = "FailedConditionMet"
	ReasonUnknownError                = "UnknownError"
	// ReasonSelectorInvalid : the labels or expressions that the supply chain selects by cannot be evaluated.
	ReasonSelectorInvalid = "SelectorInvalid"
	// ReasonOrphanNotDeleted : the supply chain does not want this object any more, and deleting it failed.
	ReasonOrphanNotDeleted = "OrphanNotDeleted"

	ReasonOutputsAvailable     = "OutputsAvailable"
	ReasonOutputNotAvailable   = "OutputNotAvailable"
	ReasonAlwaysHealthy        = "AlwaysHealthy"
	ReasonNoStampedObject      = "NoStampedObject"
	ReasonNoResource           = "NoResource"
	ReasonNoMatchesFulfilled   = "NoMatchesFulfilled"
	ReasonMatchedCondition     = "MatchedCondition"
	ReasonMatchedField         = "MatchedField"
	ReasonHealthyConditionRule = "HealthyConditionRule"

	ReasonRunTemplateNotFound     = "RunTemplateNotFound"
	ReasonStampedObjectRejected   = "StampedObjectRejectedByAPIServer"
	ReasonOutputPathNotSatisfied  = "OutputPathNotSatisfied"
	ReasonClientBuilderError      = "ClientBuilderError"
	ReasonSucceededConditionOfRun = "SucceededCondition"
)

// Lifecycles of templates.
const (
	LifecycleMutable   = "mutable"
	LifecycleImmutable = "immutable"
	LifecycleTekton    = "tekton"
)
