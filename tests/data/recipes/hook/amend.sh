# what: a commit that is amended has its message already; staged or not, nothing is asked and nothing fails
# seen: https://github.com/appleboy/CodeGPT/pull/179
# asked: 0
git commit -q --amend
is "$(message)" first
change two
git commit -q --amend
is "$(message)" first
git commit -q --amend --no-edit
git commit -q --amend -m mine
is "$(message)" mine
git commit -q --amend -C HEAD
is "$(message)" mine
