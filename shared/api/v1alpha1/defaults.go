package v1alpha1

import (
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What a document means by leaving a field out.
const (
	DefaultNamespace      = "default"
	DefaultBranch         = "main"
	DefaultBaseFolder     = "live"
	DefaultCommitterName  = "kubescribe"
	DefaultCommitterEmail = "kubescribe@localhost"
	DefaultInterval       = 10 * time.Minute
	DefaultMode           = ModeWrite
	DefaultPruneMode      = PruneAlways
	DefaultMaxDeletions   = "30%"

	// HostedPushInterval is how far pushes to hosting services are apart.
	HostedPushInterval = 10 * time.Second
)

// hosted are hosting services that everybody shares. GitHub advises at most six pushes a
// minute to one repository.
var hosted = []string{"github.com", "gitlab.com", "dev.azure.com", "bitbucket.org"}

// defaultPushInterval is that of a remote: of a hosting service by any of its names, such
// as ssh.dev.azure.com.
func defaultPushInterval(remote string) time.Duration {
	u, err := url.Parse(CanonicalURL(remote))
	if err != nil {
		return 0
	}
	for _, service := range hosted {
		if host := u.Hostname(); host == service || strings.HasSuffix(host, "."+service) {
			return HostedPushInterval
		}
	}
	return 0
}

// SetDefaults fills in what the documents leave out, and changes nothing that they
// say. Doing it twice is doing it once.
func SetDefaults(d *Documents) {
	for i := range d.GitRemotes {
		o := &d.GitRemotes[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.Committer.Name, DefaultCommitterName)
		setDefault(&o.Spec.Committer.Email, DefaultCommitterEmail)
		if o.Spec.MinPushInterval == nil {
			o.Spec.MinPushInterval = &metav1.Duration{Duration: defaultPushInterval(o.Spec.URL)}
		}
	}
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.Branch, DefaultBranch)
		setDefault(&o.Spec.BaseFolder, DefaultBaseFolder)
		setDefault(&o.Spec.Mode, DefaultMode)
		setDefault(&o.Spec.Prune.Mode, DefaultPruneMode)
		if o.Spec.Interval == nil {
			o.Spec.Interval = &metav1.Duration{Duration: DefaultInterval}
		}
		if o.Spec.Commit.Window == nil {
			o.Spec.Commit.Window = &metav1.Duration{}
		}
		if o.Spec.Prune.MaxDeletions == nil {
			percent := intstr.FromString(DefaultMaxDeletions)
			o.Spec.Prune.MaxDeletions = &percent
		}
	}
	for i := range d.WatchRules {
		o := &d.WatchRules[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.DestinationRef.Namespace, o.Namespace)
		setRuleDefaults(o.Spec.Rules, o.Spec.Exclude, &o.Spec.Sanitize, &o.Spec.MirrorSecrets)
	}
	for i := range d.ClusterWatchRules {
		o := &d.ClusterWatchRules[i]
		setRuleDefaults(o.Spec.Rules, o.Spec.Exclude, &o.Spec.Sanitize, &o.Spec.MirrorSecrets)
	}
}

func setRuleDefaults(rules, exclude []Rule, sanitize *Sanitize, secrets *MirrorSecrets) {
	for _, list := range [][]Rule{rules, exclude} {
		for i := range list {
			if len(list[i].APIVersions) == 0 {
				list[i].APIVersions = []string{"*"}
			}
		}
	}
	setDefault(&sanitize.Finalizers, KeepIt)
	setDefault(&sanitize.OwnerReferences, RemoveIt)
	setDefault(&sanitize.TrackingMarks, RemoveIt)
	setDefault(secrets, MirrorSecretsEncrypted)
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}
