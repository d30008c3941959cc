package bench

import (
	"fmt"
	"iter"
)

// builtin are types that any API server serves, with objects that no controller changes for
// long.
var builtin = append(kinds[:len(kinds):len(kinds)],
	kind{"", "services", "Service", 0, `"spec":{"selector":{"app":"APP"},"ports":[{"name":"http","port":80,"targetPort":8080}]}`},
	kind{"", "limitranges", "LimitRange", 0, `"spec":{"limits":[{"type":"Container","default":{"cpu":"500m","memory":"256Mi"},"defaultRequest":{"cpu":"100m","memory":"64Mi"}}]}`},
	kind{"apps", "deployments", "Deployment", 0, `"spec":{"replicas":0,"selector":{"matchLabels":{"app":"APP"}},"template":{"metadata":{"labels":{"app":"APP"}},"spec":{"containers":[{"name":"app","image":"registry.example.com/shop/app:1.4.2","ports":[{"containerPort":8080}],"env":[{"name":"LOG_LEVEL","value":"info"}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]}}}`},
	kind{"batch", "cronjobs", "CronJob", 0, `"spec":{"schedule":"*/5 * * * *","suspend":true,"jobTemplate":{"metadata":{"labels":{"app":"APP"}},"spec":{"template":{"metadata":{"labels":{"app":"APP"}},"spec":{"restartPolicy":"OnFailure","containers":[{"name":"app","image":"registry.example.com/shop/app:1.4.2","args":["--once"]}]}}}}}`},
	kind{"networking.k8s.io", "ingresses", "Ingress", 0, `"spec":{"rules":[{"host":"APP.example.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"APP","port":{"name":"http"}}}}]}}]}`},
	kind{"rbac.authorization.k8s.io", "rolebindings", "RoleBinding", 0, `"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"APP"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"APP"}]`},
)

// typesOfGroup is how many types a group of custom ones has.
const typesOfGroup = 8

// custom is number n of the types that have a definition.
func custom(n int) kind {
	return kind{
		fmt.Sprintf("group%d.example.com", n/typesOfGroup), fmt.Sprintf("gadget%ds", n), fmt.Sprintf("Gadget%d", n), 0,
		`"spec":{"size":3,"image":"registry.example.com/shop/APP:1.4.2","schedule":"*/5 * * * *","storage":{"class":"fast","request":"10Gi","retain":true},"endpoints":[{"host":"APP.internal.example.com","port":8080},{"host":"APP-replica.internal.example.com","port":8080}]}`,
	}
}

// typesOf are so many types: the built-in ones, and the rest with definitions, whose
// manifests are given too.
func typesOf(count int) (all []kind, definitions []string) {
	all = builtin[:min(count, len(builtin)):min(count, len(builtin))]
	for n := range count - len(all) {
		k := custom(n)
		all = append(all, k)
		definitions = append(definitions, k.definition())
	}
	return all, definitions
}

// definition is the manifest by which the API server comes to serve a custom type.
func (k kind) definition() string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, kind: %[3]s}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              image: {type: string}
              schedule: {type: string}
              storage:
                type: object
                properties: {class: {type: string}, request: {type: string}, retain: {type: boolean}}
              endpoints:
                type: array
                items:
                  type: object
                  properties: {host: {type: string}, port: {type: integer}}
`, k.resource, k.group, k.name)
}

// objectsOfEach are as many objects of each type, over all namespaces.
func objectsOfEach(types []kind, count int) iter.Seq[object] {
	return func(yield func(object) bool) {
		for _, k := range types {
			for n := range count {
				if !yield(object{k, n, spread(count)}) {
					return
				}
			}
		}
	}
}
