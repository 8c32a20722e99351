package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints what teaches a shell to complete command lines.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements [kong.HelpProvider].
func (*completionCmd) Help() string {
	return `The program has to be in the PATH under its name: install bin/taskrunner /usr/local/bin/. To have it in every session:

  bash:  echo 'source <(taskrunner completion bash)' >> ~/.bashrc
  zsh:   echo 'source <(taskrunner completion zsh)' >> ~/.zshrc   (behind compinit)
  fish:  taskrunner completion fish > ~/.config/fish/completions/taskrunner.fish`
}

// Run prints the script.
func (c *completionCmd) Run(s streams) error {
	fmt.Fprint(s.out, scripts[c.Shell])
	return nil
}

// scripts ask the program itself, by the command below. It answers a line per candidate, behind a tab what it is about;
// or that files are wanted.
var scripts = map[string]string{
	"bash": `_taskrunner() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o default
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <("${COMP_WORDS[0]}" __complete bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _taskrunner taskrunner
`,
	"zsh": `#compdef taskrunner
_taskrunner() {
    local line
    local -a candidates
    for line in "${(@f)$("${words[1]}" __complete zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
        '') ;;
        :files) _files; return ;;
        *) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    _describe -V taskrunner candidates
}
if [[ $funcstack[1] == _taskrunner ]]; then
    _taskrunner "$@"
else
    compdef _taskrunner taskrunner
fi
`,
	"fish": `function __taskrunner_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete fish -- $words[2..-1] "$current" 2>/dev/null)
    if contains -- :files $lines
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines
    end
end
complete -c taskrunner -f -a '(__taskrunner_complete)'
`,
}

// completeCmd is what the scripts ask.
type completeCmd struct {
	Shell string   `arg:""`
	Words []string `arg:"" optional:"" passthrough:""` // behind the program's name, up to the one that is completed
}

// Run answers.
func (c *completeCmd) Run(s streams, app *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	s.println(complete(app.Model.Node, c.Shell, words)...)
	return nil
}

// wantFiles is the answer that asks for the names of files.
const wantFiles = ":files"

// complete lists what the last word could become.
func complete(app *kong.Node, shell string, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	words, value := joinValues(words)
	current, before := words[len(words)-1], words[:len(words)-1]
	command, pending := app, (*kong.Flag)(nil)
	onlyArguments := false
	for _, word := range before {
		switch {
		case pending != nil:
			pending = nil
		case onlyArguments:
		case word == "--":
			onlyArguments = true
		case strings.HasPrefix(word, "-"):
			if flag := findFlag(command, word); flag != nil && !strings.Contains(word, "=") && !flag.IsBool() {
				pending = flag
			}
		case command == app:
			for _, child := range app.Children {
				if child.Name == word {
					command = child
				}
			}
		}
	}
	name, part, assigned := strings.Cut(current, "=")
	switch {
	case pending != nil:
		return values(pending.Value, "", current)
	case onlyArguments:
	case assigned && strings.HasPrefix(current, "--"):
		flag := findFlag(command, name)
		if flag == nil {
			return nil
		}
		if name += "="; shell == "bash" && value {
			name = "" // bash takes the equals sign for the end of a word
		}
		return values(flag.Value, name, part)
	case strings.HasPrefix(current, "-"):
		return flags(command, current)
	}
	if command == app {
		return commands(app, current)
	}
	if len(command.Positional) > 0 {
		return values(command.Positional[0], "", current)
	}
	return nil
}

// joinValues undoes that bash makes three words of --flag=value. value: the last word is such a one.
func joinValues(words []string) (joined []string, value bool) {
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(joined) == 0 || !strings.HasPrefix(joined[len(joined)-1], "--") {
			joined, value = append(joined, words[i]), false
			continue
		}
		joined[len(joined)-1] += "="
		value = true
		if i+1 < len(words) {
			i++
			joined[len(joined)-1] += words[i]
		}
	}
	return joined, value
}

// findFlag returns the flag that a word is, nil if it is none.
func findFlag(command *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	for _, group := range command.AllFlags(true) {
		for _, flag := range group {
			if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

// flags lists those of a command that begin like the word.
func flags(command *kong.Node, word string) (list []string) {
	for _, group := range command.AllFlags(true) {
		for _, flag := range group {
			if strings.HasPrefix("--"+flag.Name, word) {
				list = append(list, "--"+flag.Name+"\t"+firstSentence(flag.Help))
			}
		}
	}
	slices.Sort(list)
	return list
}

// commands lists those that begin like the word.
func commands(app *kong.Node, word string) (list []string) {
	for _, child := range app.Children {
		if !child.Hidden && strings.HasPrefix(child.Name, word) {
			list = append(list, child.Name+"\t"+firstSentence(child.Help))
		}
	}
	return list
}

// values lists the values of a flag or an argument that begin like the part that is there; prefix goes in front.
func values(v *kong.Value, prefix, part string) (list []string) {
	switch {
	case v.Tag.Enum != "":
		for value := range strings.SplitSeq(v.Tag.Enum, ",") {
			if value != "" && strings.HasPrefix(value, part) {
				list = append(list, prefix+value+"\t"+v.Name)
			}
		}
	case strings.HasSuffix(v.Name, "file"), v.Name == "config", v.Tag.Type == "path":
		return []string{wantFiles}
	}
	return list
}

// firstSentence shortens a help text.
func firstSentence(help string) string {
	sentence, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(sentence, ".")
}
