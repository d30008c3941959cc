package v1alpha1

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

var step = regexp.MustCompile(`([^.\[\]]+)|\[(\d+)\]`)

// lineOf is the line of the deepest node on the way to path that exists.
func lineOf(n *yaml.Node, path string) int {
	line := n.Line
	for _, m := range step.FindAllStringSubmatch(path, -1) {
		i := -1
		switch {
		case m[2] != "" && n.Kind == yaml.SequenceNode:
			if at, err := strconv.Atoi(m[2]); err == nil && at < len(n.Content) {
				i = at
				line = n.Content[i].Line
			}
		case m[1] != "" && n.Kind == yaml.MappingNode:
			for k := 0; k < len(n.Content); k += 2 {
				if n.Content[k].Value == m[1] {
					i = k + 1
					line = n.Content[k].Line
					break
				}
			}
		}
		if i < 0 {
			break
		}
		n = n.Content[i]
	}
	return line
}
