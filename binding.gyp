# `node-gyp rebuild` runs the same cargo build as `npm run build`.
{
  'targets': [
    {
      'target_name': 'afunix',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cargo_build',
          'message': 'Building afunix with cargo',
          'inputs': ['<!@(node scripts/build.js --inputs)'],
          'outputs': ['<(PRODUCT_DIR)/afunix.node'],
          'action': ['node', 'scripts/build.js'],
        },
      ],
    },
  ],
}
