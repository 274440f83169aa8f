# what: what a person has written stays, wherever it was written
# asked: 0
change two
git commit -qm mine
is "$(message)" mine
echo 'from a file' >text
change three
git commit -qF text
is "$(message)" 'from a file'
change four
git commit -q -C HEAD
is "$(message)" 'from a file'
echo 'JIRA-1 ' >template
change five
GIT_EDITOR="sed -i '1s/\$/done/'" git commit -q -t template
is "$(message)" 'JIRA-1 done'
git config commit.template template
change six
GIT_EDITOR="sed -i '1s/\$/more/'" git commit -q
is "$(message)" 'JIRA-1 more'
