# what: with the patch in the editor, the proposal is above it
# seen: https://github.com/Nutlope/aicommits/issues/198
# asked: 1
change two
git commit -q --verbose
is "$(message)" "$proposal"
is "$(head -n 1 ~/shown)" 'Sing at dawn'
grep -q '^+two' ~/shown
