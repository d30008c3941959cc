package v1alpha1

import (
	"reflect"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// duration takes a string only, as the Kubernetes API does: a number would leave the
// unit to guesses.
func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string, line int) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || isOldBool(n) {
		d.refuse(line, path, "must be a duration such as 10m, not "+describe(n)+"; write a number with its unit, and 0s for none")
		return
	}
	t, err := time.ParseDuration(n.Value)
	if err != nil { // its text repeats the value
		d.refuse(line, path, "is not a duration; write one such as 90s, 10m or 1h30m")
		return
	}
	v.Set(reflect.ValueOf(&metav1.Duration{Duration: t}))
}

// whole is a number that YAML 1.1 and 1.2 read the same.
var whole = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// number takes one that is written plainly.
func (d *decoder) number(n *yaml.Node, v reflect.Value, path string, line int) {
	const advice = "; write one such as 10"
	number, err := strconv.ParseInt(n.Value, 10, 32)
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.ScalarNode && tag == "!!int" && whole.MatchString(n.Value) && err == nil:
		v.SetInt(number)
	case tag == "!!int" || tag == "!!float":
		d.refuse(line, path, "is not a whole number that is written plainly"+advice)
	default:
		d.refuse(line, path, "must be a number, not "+describe(n)+advice)
	}
}

// intOrPercent takes a number, or any string: what strings mean is for validation.
func (d *decoder) intOrPercent(n *yaml.Node, v reflect.Value, path string, line int) {
	const advice = `; write one such as 50, or "30%"`
	number, err := strconv.ParseInt(n.Value, 10, 32)
	tag := n.ShortTag()
	switch {
	case n.Kind == yaml.ScalarNode && tag == "!!int" && whole.MatchString(n.Value) && err == nil:
		v.Set(reflect.ValueOf(&intstr.IntOrString{Type: intstr.Int, IntVal: int32(number)}))
	case n.Kind == yaml.ScalarNode && tag == "!!str" && !isOldBool(n):
		v.Set(reflect.ValueOf(&intstr.IntOrString{Type: intstr.String, StrVal: n.Value}))
	case tag == "!!int" || tag == "!!float":
		d.refuse(line, path, "is not a whole number that is written plainly"+advice)
	default:
		d.refuse(line, path, "must be a number or a percentage, not "+describe(n)+advice)
	}
}
