package v1alpha1

// What a document means by leaving a field out.
const (
	DefaultNamespace      = "default"
	DefaultBranch         = "main"
	DefaultBaseFolder     = "live"
	DefaultCommitterName  = "kubescribe"
	DefaultCommitterEmail = "kubescribe@localhost"
)

// SetDefaults fills in what the documents leave out, and changes nothing that they
// say. Doing it twice is doing it once.
func SetDefaults(d *Documents) {
	for i := range d.GitRemotes {
		o := &d.GitRemotes[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.Committer.Name, DefaultCommitterName)
		setDefault(&o.Spec.Committer.Email, DefaultCommitterEmail)
	}
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.Branch, DefaultBranch)
		setDefault(&o.Spec.BaseFolder, DefaultBaseFolder)
	}
	for i := range d.WatchRules {
		o := &d.WatchRules[i]
		setDefault(&o.Namespace, DefaultNamespace)
		setDefault(&o.Spec.DestinationRef.Namespace, o.Namespace)
		setRuleDefaults(o.Spec.Rules)
	}
	for i := range d.ClusterWatchRules {
		setRuleDefaults(d.ClusterWatchRules[i].Spec.Rules)
	}
}

func setRuleDefaults(rules []Rule) {
	for i := range rules {
		if len(rules[i].APIVersions) == 0 {
			rules[i].APIVersions = []string{"*"}
		}
	}
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
