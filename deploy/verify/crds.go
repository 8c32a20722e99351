//go:build never

package verify

// The module of CloudNativePG is needed for the definitions of its resources, which it keeps as YAML.
import _ "github.com/cloudnative-pg/cloudnative-pg/api/v1"
