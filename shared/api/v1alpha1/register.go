package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is what APIVersion spells.
var GroupVersion = schema.GroupVersion{Group: "kubescribe.dev", Version: "v1alpha1"}

// AddToScheme makes the kinds known to a scheme, for clients of the Kubernetes API.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&GitRemote{}, &GitRemoteList{},
		&GitDestination{}, &GitDestinationList{},
		&WatchRule{}, &WatchRuleList{},
		&ClusterWatchRule{}, &ClusterWatchRuleList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
