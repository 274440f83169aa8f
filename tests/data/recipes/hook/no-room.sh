# what: where the proposal cannot be written, what was there stays
# asked: 1
mkdir .git/COMMIT_EDITMSG.new
change two
GIT_EDITOR='cp .git/COMMIT_EDITMSG ~/shown; echo mine >' git commit -q
is "$(message)" mine
grep -q '^# Please enter the commit message' ~/shown
