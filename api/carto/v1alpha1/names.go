package v1alpha1

// Kinds that supply chains and their status name.
const (
	KindWorkload              = "Workload"
	KindClusterSupplyChain    = "ClusterSupplyChain"
	KindClusterSourceTemplate = "ClusterSourceTemplate"
	KindClusterImageTemplate  = "ClusterImageTemplate"
	KindClusterConfigTemplate = "ClusterConfigTemplate"
	KindClusterTemplate       = "ClusterTemplate"
)

// Labels that every stamped object carries.
const (
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
	// ConditionResourcesSubmitted : every resource of the chain was stamped and its outputs read.
	ConditionResourcesSubmitted = "ResourcesSubmitted"
	// ConditionResourcesHealthy : every stamped object is healthy.
	ConditionResourcesHealthy = "ResourcesHealthy"
	// ConditionResourceSubmitted : this resource was stamped and its outputs read.
	ConditionResourceSubmitted = "ResourceSubmitted"
	// ConditionHealthy : the stamped object of this resource is healthy.
	ConditionHealthy = "Healthy"
	// ConditionTemplatesReady : every template that the supply chain names exists.
	ConditionTemplatesReady = "TemplatesReady"
)

// Reasons of conditions.
const (
	ReasonReady   = "Ready"
	ReasonUnknown = "Unknown"

	ReasonWorkloadLabelsMissing       = "WorkloadLabelsMissing"
	ReasonSupplyChainNotFound         = "SupplyChainNotFound"
	ReasonMultipleSupplyChainMatches  = "MultipleSupplyChainMatches"
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
)

// Lifecycles of templates.
const (
	LifecycleMutable   = "mutable"
	LifecycleImmutable = "immutable"
	LifecycleTekton    = "tekton"
)
