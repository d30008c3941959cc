{{- /* The page: the kinds first, then the types that they are made of. */ -}}
{{- define "gvList" -}}
<!-- Generated from shared/api/v1alpha1 by make generate. Do not edit. -->
# The documents

What kubescribe writes where: `kubescribe.dev/v1alpha1`, as YAML in a file (`--config`), or as
custom resources ([deploy/crds](../../deploy/crds)). Both mean the same: they have the same fields
and defaults and pass the same checks, of which the API server makes those under "limits". A field
that is not known is an error in a file. What the cluster has written into an object (`status`, and
its part of `metadata`) is ignored there, and a `List` is read, so a file that `kubectl get -o yaml`
wrote can be used. [An example with comments](../../shared/api/v1alpha1/testdata/example.yaml).
{{ range $gv := . }}
{{- $first := list "GitRemote" "GitRemoteSpec" "GitDestination" "GitDestinationSpec" "WatchRule" "WatchRuleSpec" "ClusterWatchRule" "ClusterWatchRuleSpec" }}
{{- range $first }}
{{ template "type" $gv.TypeForKind . }}
{{- end }}
{{- range $gv.SortedTypes }}
{{- if and (not (has .Name $first)) (markdownShouldRenderType .) }}
{{ template "type" . }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "type" -}}
## {{ .Name }}

{{ template "text" .Doc }}
{{ with index .Markers "kubebuilder:resource" }}{{ range . }}
`kubectl get {{ join ", " .ShortName }}`{{ if eq .Scope "Cluster" }}; it has no namespace{{ end }}.
{{ end }}{{ end }}
{{- if .References }}
In: {{ range $i, $type := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $type }}{{ end }}.
{{ end }}
{{- with .Members }}
| field | | default | limits |
|---|---|---|---|
{{- range . }}
| `{{ .Name }}`<br>{{ markdownRenderType .Type }} | {{ template "meaning" . }} | {{ template "default" . }} | {{ template "limits" . }} |
{{- end }}
{{ end }}
{{- with .EnumValues }}
{{ range . }}
- `{{ .Name }}`{{ with .Doc }}: {{ template "text" . }}{{ end }}
{{- end }}
{{ end }}
{{- range index .Markers "kubebuilder:validation:XValidation" }}
- `{{ .FieldPath | trimPrefix "." }}` {{ .Message }}.
{{- end }}
{{ end -}}

{{- define "meaning" -}}
{{- if eq .Name "metadata" }}As of any object: `name`, `namespace`, `labels` and `annotations`
{{- else }}{{ template "text" .Doc }}{{ end -}}
{{- end -}}

{{- /* One line, without what Markdown takes for its own. */ -}}
{{- define "text" -}}
{{- . | trim | replace "\n" " " | replace "*" "\\*" | replace "<" "&lt;" | replace "|" "\\|" -}}
{{- end -}}

{{- define "default" -}}
{{- if not (hasPrefix "{" .Default) }}{{ with .Default }}`{{ . }}`{{ end }}{{ end -}}
{{- end -}}

{{- define "limits" -}}
{{- range .Validation }}
{{- if eq . "Required: {}" }}required<br>
{{- else if not (hasPrefix "Optional" . | or (hasPrefix "Type: " .)) }}{{ . | replace "|" "\\|" }}<br>
{{- end }}
{{- end }}
{{- /* A spec's own stand below its table. */ -}}
{{- if ne .Name "spec" }}{{ range index .Markers "kubebuilder:validation:XValidation" }}{{ template "text" .Message }}<br>{{ end }}{{ end -}}
{{- end -}}
