package v1alpha1

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubescribe/kubescribe/shared/exclusion"
	"github.com/kubescribe/kubescribe/shared/wording"
)

// Validate returns everything that is wrong with d as [Problems], or nil. It expects
// [SetDefaults] to have been applied, and changes nothing.
func (d *Documents) Validate() error {
	if problems := d.problems(true); len(problems) > 0 {
		return problems
	}
	return nil
}

// problems looks for what is missing among the documents only if they are complete:
// beside a document that could not be read, that would be guessing.
func (d *Documents) problems(complete bool) Problems {
	c := &checker{}
	c.each(d)
	c.overlaps(d)
	if complete {
		used, certain := c.references(d)
		c.unused(d, used, certain)
	}
	return c.found
}

// each checks each document by itself.
func (c *checker) each(d *Documents) {
	for i := range d.GitRemotes {
		o := &d.GitRemotes[i]
		c.begin(KindGitRemote, i, &o.ObjectMeta)
		c.gitRemote(o)
	}
	for i := range d.GitDestinations {
		o := &d.GitDestinations[i]
		c.begin(KindGitDestination, i, &o.ObjectMeta)
		c.gitDestination(o)
	}
	for i := range d.WatchRules {
		o := &d.WatchRules[i]
		c.begin(KindWatchRule, i, &o.ObjectMeta)
		c.watchRule(o)
	}
	for i := range d.ClusterWatchRules {
		o := &d.ClusterWatchRules[i]
		c.begin(KindClusterWatchRule, i, &o.ObjectMeta)
		c.clusterWatchRule(o)
	}
}

// id is what tells objects of one kind apart.
type id struct{ namespace, name string }

func idOf(m *metav1.ObjectMeta) id { return id{m.Namespace, m.Name} }

// checker gathers problems of the object that it was last told to begin.
type checker struct {
	found  Problems
	kind   string
	index  int
	object string
	seen   map[string]map[id]bool // by kind

	// Of the documents of a cluster, which are many people's:
	shared  bool
	all     *Documents       // with those that are refused
	refused map[Ref]Problems // by now
	held    []Holder         // in the order in which they count
}

func (c *checker) add(path, format string, args ...any) {
	if len(c.found) == maxProblems {
		return
	}
	c.found = append(c.found, Problem{
		Object: c.object, Path: path, Text: fmt.Sprintf(format, args...),
		kind: c.kind, index: c.index,
	})
}

// at makes an object the one that problems are added for.
func (c *checker) at(kind string, index int, m *metav1.ObjectMeta) {
	c.kind, c.index, c.object = kind, index, objectName(kind, m.Namespace, m.Name)
}

// begin checks what all kinds have in common.
func (c *checker) begin(kind string, index int, m *metav1.ObjectMeta) {
	c.at(kind, index, m)
	c.objectName("metadata.name", m.Name)
	if kind == KindClusterWatchRule {
		if m.Namespace != "" {
			c.add("metadata.namespace", "is set, but a ClusterWatchRule has no namespace; remove it")
		}
	} else {
		c.namespace("metadata.namespace", m.Namespace)
	}
	if m.Name == "" {
		return
	}
	if c.seen == nil {
		c.seen = make(map[string]map[id]bool)
	}
	if c.seen[kind] == nil {
		c.seen[kind] = make(map[id]bool)
	}
	if c.seen[kind][idOf(m)] {
		c.add("metadata.name", "another %s has this name already; rename or remove one", kind)
	}
	c.seen[kind][idOf(m)] = true
}

func (c *checker) gitRemote(o *GitRemote) {
	if _, problem := parseURL(o.Spec.URL); problem != "" {
		c.add("spec.url", "%s", problem)
	}
	c.secretRef(o)
	c.name("spec.committer.name", o.Spec.Committer.Name)
	c.email("spec.committer.email", o.Spec.Committer.Email)
	switch least := o.Spec.MinPushInterval; {
	case least == nil:
		c.add("spec.minPushInterval", "is empty; write a duration such as 10s, or 0s for none")
	case least.Duration < 0, least.Duration > maxPushInterval:
		c.add("spec.minPushInterval", "is negative or longer than %s; write a duration such as 10s, or 0s for none", maxPushInterval)
	}
}

// secretRef refuses credentials for what is opened without any.
func (c *checker) secretRef(o *GitRemote) {
	if o.Spec.SecretRef == nil {
		return
	}
	if strings.HasPrefix(CanonicalURL(o.Spec.URL), "/") {
		c.add("spec.secretRef", "names credentials, and a path is opened without any; remove it")
		return
	}
	c.objectName("spec.secretRef.name", o.Spec.SecretRef.Name)
}

// maxPushInterval keeps a branch from standing for so long that nobody expects it any more.
const maxPushInterval = time.Hour

// name checks that of a person.
func (c *checker) name(path, name string) {
	if !isIdentity(name) || strings.Trim(name, " .,:;\"'\\") == "" {
		c.add(path, "is not a name that git can write down; use letters, without < > and control characters")
	}
}

func (c *checker) email(path, email string) {
	if !isIdentity(email) || !emailShape.MatchString(email) {
		c.add(path, "is not an email address; write one such as %s", DefaultCommitterEmail)
	}
}

var emailShape = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)

// isIdentity tells whether git can keep s in a commit's header as it is.
func isIdentity(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "<>") && !strings.ContainsFunc(s, isInvisible)
}

func (c *checker) gitDestination(o *GitDestination) {
	c.objectName("spec.remoteRef.name", o.Spec.RemoteRef.Name)
	if problem := branchProblem(o.Spec.Branch); problem != "" {
		c.add("spec.branch", "%s%s", subject(o.Spec.Branch), problem)
	}
	if problem := baseFolderProblem(o.Spec.BaseFolder); problem != "" {
		c.add("spec.baseFolder", "%s%s", subject(o.Spec.BaseFolder), problem)
	}
	switch every := o.Spec.Interval; {
	case every == nil:
		c.add("spec.interval", "is empty; write a duration such as 10m, or 0s for no drift checks")
	case every.Duration < minInterval && every.Duration != 0:
		c.add("spec.interval", "is shorter than %s; write %s or more, or 0s for no drift checks", minInterval, minInterval)
	}
	if mode := o.Spec.Mode; !slices.Contains(modes, mode) {
		c.add("spec.mode", "%s; write one of Write, DryRun", unknownText(string(mode)))
	}
	if mode := o.Spec.Prune.Mode; !slices.Contains(pruneModes, mode) {
		c.add("spec.prune.mode", "%s; write one of Always, OnEvent, Never", unknownText(string(mode)))
	}
	if problem := maxDeletionsProblem(o.Spec.Prune.MaxDeletions); problem != "" {
		c.add("spec.prune.maxDeletions", "%s; write a number such as 50, or a percentage such as \"30%%\"", problem)
	}
	c.patterns("spec.allowedNamespaces", o.Spec.AllowedNamespaces, namePatternProblem)
	for i, name := range o.Spec.WithoutExclusions {
		if problem := exclusionProblem(name); problem != "" {
			c.add(fmt.Sprintf("spec.withoutExclusions[%d]", i), "%s%s", subject(name), problem)
		}
	}
	c.commit(o.Spec.Commit)
	c.encryption(o.Spec.Encryption)
}

func exclusionProblem(name string) string {
	if exclusion.Lifts(name) {
		return ""
	}
	var names []string
	for _, e := range exclusion.All() {
		names = append(names, e.Name)
	}
	if near := nearest(name, names); near != "" {
		return "is no default exclusion; did you mean " + near + "?"
	}
	return "is no default exclusion; kubescribe explain exclusions lists them"
}

func (c *checker) commit(o Commit) {
	switch window := o.Window; {
	case window == nil:
		c.add("spec.commit.window", "is empty; write a duration such as 30s, or 0s for a commit of each change")
	case window.Duration < 0, window.Duration > maxWindow:
		c.add("spec.commit.window", "is negative or longer than %s; write a duration such as 30s, or 0s for a commit of each change", maxWindow)
	}
	if most := o.MaxCommitsPerObjectPerMinute; most < 0 || most > maxCommits {
		c.add("spec.commit.maxCommitsPerObjectPerMinute", "is negative or more than %d; write a number such as 10, or 0 for a commit of each version", maxCommits)
	}
	if name := o.Author.Name; name != "" {
		c.name("spec.commit.author.name", name)
	}
	if email := o.Author.Email; email != "" {
		c.email("spec.commit.author.email", email)
	}
	for i, a := range o.Authors {
		path := fmt.Sprintf("spec.commit.authors[%d]", i)
		if problem := managerPatternProblem(a.FieldManager); problem != "" {
			c.add(path+".fieldManager", "%s%s", subject(a.FieldManager), problem)
		}
		c.name(path+".name", a.Name)
		if a.Email != "" {
			c.email(path+".email", a.Email)
		}
	}
	c.template("spec.commit.message.subject", wording.Subject, o.Message.Subject)
	c.template("spec.commit.message.body", wording.Body, o.Message.Body)
}

func (c *checker) template(path string, part wording.Part, text string) {
	if text == "" {
		return
	}
	if _, err := wording.Parse(part, text); err != nil {
		c.add(path, "%v", err)
	}
}

// maxWindow keeps changes from being out of Git for so long that nobody expects it.
const maxWindow = time.Hour

// maxCommits bounds what is remembered of one object's commits; more is as good as no limit.
const maxCommits = 600

// minInterval keeps drift checks from following each other without a pause.
const minInterval = 10 * time.Second

var (
	modes      = []Mode{ModeWrite, ModeDryRun}
	pruneModes = []PruneMode{PruneAlways, PruneOnEvent, PruneNever}
	percentage = regexp.MustCompile(`^(0|[1-9][0-9]?|100)%$`)
)

func maxDeletionsProblem(m *intstr.IntOrString) string {
	switch {
	case m == nil:
		return "is empty"
	case m.Type == intstr.Int && m.IntVal < 0:
		return "is negative"
	case m.Type == intstr.String && !percentage.MatchString(m.StrVal):
		return "is neither a number nor a percentage from 0% to 100%"
	}
	return ""
}

func (c *checker) watchRule(o *WatchRule) {
	ref := o.Spec.DestinationRef
	c.objectName("spec.destinationRef.name", ref.Name)
	c.namespace("spec.destinationRef.namespace", ref.Namespace)
	c.rules(o.Spec.Rules, o.Spec.Exclude, o.Spec.Sanitize, o.Spec.MirrorSecrets)
}

func (c *checker) clusterWatchRule(o *ClusterWatchRule) {
	ref := o.Spec.DestinationRef
	c.objectName("spec.destinationRef.name", ref.Name)
	if ref.Namespace == "" {
		c.add("spec.destinationRef.namespace", "is required, because a ClusterWatchRule has no namespace of its own; write the GitDestination's, which is %s unless it says otherwise", DefaultNamespace)
	} else {
		c.namespace("spec.destinationRef.namespace", ref.Namespace)
	}
	c.rules(o.Spec.Rules, o.Spec.Exclude, o.Spec.Sanitize, o.Spec.MirrorSecrets)
	for i, namespace := range o.Spec.Namespaces {
		path := fmt.Sprintf("spec.namespaces[%d]", i)
		if namespace == "*" {
			c.add(path, `"*" is not a namespace; leave namespaces out to select all of them`)
			continue
		}
		c.namespace(path, namespace)
	}
}

// objectName checks a name against what the Kubernetes API takes.
func (c *checker) objectName(path, name string) {
	switch {
	case name == "":
		c.add(path, "is required; give it a name")
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		c.add(path, "%sis not a name; use at most 253 lower-case letters, digits, dashes and dots, with a letter or digit first and last", subject(name))
	}
}

// namespace checks a namespace's name against what the Kubernetes API takes.
func (c *checker) namespace(path, namespace string) {
	switch {
	case namespace == "":
		c.add(path, "is empty; write a namespace")
	case len(validation.IsDNS1123Label(namespace)) > 0:
		c.add(path, "%sis not a namespace; use at most 63 lower-case letters, digits and dashes, with a letter or digit first and last", subject(namespace))
	}
}
