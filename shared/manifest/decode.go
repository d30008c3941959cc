package manifest

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// ErrNotAnObject says that bytes are no YAML mapping that JSON can express. The
// parsers' own words are withheld, because they quote values.
var ErrNotAnObject = errors.New("decoding manifest: not a YAML mapping of JSON values")

// Decode reads a manifest the way kubectl and the API server do: YAML to JSON
// to an unstructured object. Only the first document of a file is read.
func Decode(b []byte) (map[string]any, error) {
	j, err := yaml.YAMLToJSON(b)
	if err != nil {
		return nil, ErrNotAnObject
	}
	var obj map[string]any
	if err := json.Unmarshal(j, &obj); err != nil || obj == nil {
		return nil, ErrNotAnObject
	}
	return obj, nil
}
