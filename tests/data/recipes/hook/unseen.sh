# what: no text is committed that no editor has shown
# asked: 0
change two
fails git commit -q --no-edit 2>/dev/null
git commit -q --no-edit --allow-empty-message
is "$(message)" ''
change three
GIT_EDITOR=: git commit -q --allow-empty-message
is "$(message)" ''
