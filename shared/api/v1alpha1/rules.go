package v1alpha1

import (
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubescribe/kubescribe/shared/manifest"
)

func (c *checker) rules(rules, exclude []Rule, sanitize Sanitize, secrets MirrorSecrets) {
	if len(rules) == 0 {
		c.add("spec.rules", `is required; add a rule such as {apiGroups: ["*"], resources: ["*"]}`)
	}
	c.ruleList("spec.rules", rules)
	c.ruleList("spec.exclude", exclude)
	c.sanitize(sanitize)
	if secrets != MirrorSecretsEncrypted && secrets != MirrorSecretsNever {
		c.add("spec.mirrorSecrets", "%s; write Encrypted or Never", unknownText(string(secrets)))
	}
}

func (c *checker) ruleList(list string, rules []Rule) {
	for i, r := range rules {
		path := fmt.Sprintf("%s[%d]", list, i)
		c.matches(path+".apiGroups", r.APIGroups, `list groups, "" for the core group, or ["*"] for all`, apiGroupProblem)
		c.matches(path+".apiVersions", r.APIVersions, `list versions, or ["*"] for all`, apiVersionProblem)
		c.matches(path+".resources", r.Resources, `list resources, or ["*"] for all`, resourceProblem)
		c.objectSelector(path+".objectSelector", r.ObjectSelector)
		c.patterns(path+".names", r.Names, namePatternProblem)
		c.patterns(path+".owners", r.Owners, ownerPatternProblem)
	}
}

func (c *checker) objectSelector(path string, s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		c.add(path, "selects all; leave it out, or add matchLabels or matchExpressions")
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		c.add(path, "is not a label selector: %v", err)
	}
}

// patterns checks a list of patterns.
func (c *checker) patterns(path string, patterns []string, problem func(string) string) {
	for i, pattern := range patterns {
		if p := problem(pattern); p != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s%s", subject(pattern), p)
		}
	}
}

// The shapes of patterns: what names are made of, * and ?.
var (
	namePattern    = regexp.MustCompile(`^[^/\\\[\]\s]{1,253}$`)
	managerPattern = regexp.MustCompile(`^[^\\\[\]\s]{1,128}$`)
	ignoredPattern = regexp.MustCompile(`^[^/\\\[\]\s][^\\\[\]\s]{0,127}$`) // a subresource alone is none
	ownerPattern   = regexp.MustCompile(`^[A-Za-z0-9*?]+(\.[a-z0-9.*?-]+)?/[^/\\\[\]\s]{1,253}$`)
)

func namePatternProblem(pattern string) string {
	if namePattern.MatchString(pattern) {
		return ""
	}
	return `matches no name; write one, with * for any characters and ? for any one, such as "web-*"`
}

func managerPatternProblem(pattern string) string {
	if managerPattern.MatchString(pattern) {
		return ""
	}
	return `matches no field manager; write one, with * for any characters and ? for any one, such as "kubectl-*"`
}

func ignoredPatternProblem(pattern string) string {
	if ignoredPattern.MatchString(pattern) {
		return ""
	}
	return `matches no field manager; write one, with * for any characters and ? for any one, and /scale or /status behind it for what it owns through that subresource, such as "kube-controller-manager/scale"`
}

func ownerPatternProblem(pattern string) string {
	if ownerPattern.MatchString(pattern) {
		return ""
	}
	return `is not an owner; write its kind, a dot and its group unless that is the core group, a slash and its name, such as "Application.argoproj.io/*"`
}

func (c *checker) sanitize(s Sanitize) {
	for path, keep := range map[string]Keep{"finalizers": s.Finalizers, "ownerReferences": s.OwnerReferences, "trackingMarks": s.TrackingMarks} {
		if keep != KeepIt && keep != RemoveIt {
			c.add("spec.sanitize."+path, "%s; write Keep or Remove", unknownText(string(keep)))
		}
	}
	c.patterns("spec.sanitize.ignoreFieldManagers", s.IgnoreFieldManagers, ignoredPatternProblem)
	for i, pointer := range s.Fields {
		if err := manifest.CheckPointer(pointer); err != nil {
			c.add(fmt.Sprintf("spec.sanitize.fields[%d]", i), "%sis %v; write one such as /spec/replicas", subject(pointer), err)
		}
	}
}

// matches checks one list of a rule.
func (c *checker) matches(path string, list []string, advice string, problem func(string) string) {
	if len(list) == 0 {
		c.add(path, "is required; %s", advice)
	}
	for i, entry := range list {
		if entry == "*" {
			if len(list) > 1 {
				c.add(path, `has "*" beside other entries; leave only "*", or remove it`)
				break
			}
			continue
		}
		if p := problem(entry); p != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s%s", subject(entry), p)
		}
	}
}

var (
	version      = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
	groupVersion = regexp.MustCompile(`^[a-z0-9.-]*/v[0-9]+((alpha|beta)[0-9]+)?$`)
)

func apiGroupProblem(group string) string {
	switch {
	case group == "":
		return ""
	case group == "core":
		return `is not how the API calls it; write "" for the core group`
	case version.MatchString(group):
		return `is a version and not a group; write "" for the core group, and the version in apiVersions`
	case groupVersion.MatchString(group):
		return "has a version in it; write the group alone, and the version in apiVersions"
	case len(validation.IsDNS1123Subdomain(group)) > 0:
		return `is not an API group; write one such as "apps", "" for the core group, or "*" alone`
	}
	return ""
}

func apiVersionProblem(v string) string {
	switch {
	case groupVersion.MatchString(v):
		return "has a group in it; write the version alone, and the group in apiGroups"
	case len(validation.IsDNS1035Label(v)) > 0:
		return `is not an API version; write one such as "v1", or "*" alone`
	}
	return ""
}

func resourceProblem(resource string) string {
	switch {
	case strings.Contains(resource, "/"):
		return "names a subresource, and those are not written to Git; write the resource alone"
	case len(validation.IsDNS1123Label(resource)) > 0:
		return `is not a resource; write the lower-case plural that kubectl api-resources shows, such as "deployments"`
	}
	return ""
}
