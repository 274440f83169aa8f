# what: the first commit, in a worktree of its own, and below a directory with blanks and quotes
# asked: 2
mkdir "it's \"new\""
cd "it's \"new\""
git init -q .
cp ../.git/hooks/prepare-commit-msg .git/hooks/
echo one >file
git add file
git commit -q
is "$(message)" "$proposal"
git worktree add -q ../tree
cd ../tree
change two
git commit -q
is "$(message)" "$proposal"
